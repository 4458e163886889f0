/** Reads JSON bodies: bounded bytes, bounded depth, and nothing but JSON. */
import express, { type RequestHandler } from 'express';
import { InvalidRequest } from '../openapi/parse.ts';
import { HttpError } from './errors.ts';
import { MAX_BODY_BYTES, MAX_IMAGE_BODY_BYTES, MAX_JSON_DEPTH } from './limits.ts';

/** Routes whose bodies may carry pictures. */
const IMAGE_PATHS =
  /^\/sdserve\/v1\/jobs\/?$|^\/agent-scheduler\/v1\/(?:queue\/\w+|import)\/?$|^\/sdapi\/v1\/(?:txt2img|img2img|sparkle|extra-single-image|extra-batch-images|png-info|interrogate)\/?$/i;

/** Takes files as multipart. */
const UPLOAD_PATH = /^\/sdapi\/v1\/loras$/i;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** `[` and `{` differ in this bit only, and so do `]` and `}`. */
const CASE_BIT = 0x20;
const OPENING = 0x7b;
const CLOSING = 0x7d;

/**
 * Reads the body into `req.body`: the JSON value, or undefined when there is no body.
 *
 * A missing Content-Type counts as JSON, as in A1111, unless a browser sent the request: a page may
 * send such a body to any address without being asked.
 */
export function readJsonBody(): RequestHandler {
  const readSmall = readBytes(MAX_BODY_BYTES);
  const readLarge = readBytes(MAX_IMAGE_BODY_BYTES);
  return (req, res, next) => {
    // A form has been read already.
    if (req.body !== undefined) return next();
    // The route reads it in pieces, onto the disk.
    if (req.method === 'POST' && UPLOAD_PATH.test(req.path) && req.is('multipart/form-data')) {
      return next();
    }
    const isLarge = IMAGE_PATHS.test(req.path);
    const limit = isLarge ? MAX_IMAGE_BODY_BYTES : MAX_BODY_BYTES;
    (isLarge ? readLarge : readSmall)(req, res, (error?: unknown) => {
      if (error) return next(toBodyError(error, limit));
      const bytes: unknown = req.body;
      req.body = undefined;
      if (!Buffer.isBuffer(bytes) || bytes.length === 0) return next();
      if (!isJsonType(req.headers['content-type'], req.headers.origin)) {
        return next(
          new HttpError('UNSUPPORTED_MEDIA_TYPE', 'Expected a body of type application/json.'),
        );
      }
      try {
        req.body = parseJson(bytes);
        next();
      } catch (refusal) {
        next(refusal);
      }
    });
  };
}

/**
 * Parses a JSON text: UTF-8 with or without a byte order mark, or UTF-16 with one.
 *
 * @throws InvalidRequest when it is not JSON or nested deeper than `MAX_JSON_DEPTH`
 */
export function parseJson(bytes: Buffer): unknown {
  const utf8 = toUtf8(bytes);
  if (measureDepth(utf8) > MAX_JSON_DEPTH) {
    throw invalidJson(0, `Expected at most ${MAX_JSON_DEPTH} levels of nesting.`);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(utf8));
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    const position = Number(/position (\d+)/.exec(message)?.[1] ?? 0);
    throw invalidJson(position, 'The body is not valid JSON.');
  }
}

/**
 * Measures how deep arrays and objects are nested; stops counting past `MAX_JSON_DEPTH`.
 *
 * Works on bytes before the parser sees them. Texts are jumped over with `indexOf`, so that a
 * picture in base64 costs nothing.
 */
function measureDepth(bytes: Buffer): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === QUOTE) {
      i = endOfText(bytes, i);
    } else if ((byte | CASE_BIT) === OPENING) {
      depth += 1;
      deepest = Math.max(deepest, depth);
      if (deepest > MAX_JSON_DEPTH) return deepest;
    } else if ((byte | CASE_BIT) === CLOSING) {
      depth -= 1;
    }
  }
  return deepest;
}

/** Finds the quote that closes the text opened at `start`; the end of the bytes when none does. */
function endOfText(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end !== -1; end = bytes.indexOf(QUOTE, end + 1)) {
    let before = end - 1;
    while (before > start && bytes[before] === BACKSLASH) before -= 1;
    const isEscaped = (end - 1 - before) % 2 === 1;
    if (!isEscaped) return end;
  }
  return bytes.length;
}

function toUtf8(bytes: Buffer): Buffer {
  const [first, second, third] = bytes;
  if (first === 0xef && second === 0xbb && third === 0xbf) return bytes.subarray(3);
  if (first === 0xff && second === 0xfe) return Buffer.from(bytes.subarray(2).toString('utf16le'));
  if (first === 0xfe && second === 0xff && bytes.length % 2 === 0) {
    return Buffer.from(Buffer.from(bytes.subarray(2)).swap16().toString('utf16le'));
  }
  return bytes;
}

function readBytes(limit: number): RequestHandler {
  return express.raw({ type: () => true, limit, inflate: true });
}

function isJsonType(type: string | undefined, origin: string | undefined): boolean {
  if (type === undefined || type === '') return origin === undefined;
  return /^\s*application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type);
}

function invalidJson(position: number, message: string): InvalidRequest {
  return new InvalidRequest([
    { loc: ['body', position], msg: message, type: 'value_error.jsondecode' },
  ]);
}

/** Gives the body reader's errors codes of ours. */
function toBodyError(error: unknown, limit: number): unknown {
  const type = error instanceof Error && 'type' in error ? error.type : null;
  switch (type) {
    case 'entity.too.large':
      return new HttpError('BODY_TOO_LARGE', `Expected a body of at most ${limit} bytes.`);
    case 'encoding.unsupported':
    case 'charset.unsupported':
      return new HttpError('UNSUPPORTED_MEDIA_TYPE', 'The encoding of the body is not supported.');
    case 'request.aborted':
    case 'request.size.invalid':
      return new HttpError('BAD_REQUEST', 'The body ended early.');
    default:
      // zlib's own errors carry no type: a compressed body that is not what it says.
      return new HttpError('BAD_REQUEST', 'The body cannot be read.');
  }
}
