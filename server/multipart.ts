/** Reads `multipart/form-data` into the object that the same request in JSON would be. */
import type { Request, RequestHandler } from 'express';
import multer, { MulterError } from 'multer';
import { isDict } from '../openapi/schemas/coercion.ts';
import { parseJson } from './body.ts';
import { HttpError } from './errors.ts';
import { MAX_BODY_BYTES, MAX_IMAGE_BODY_BYTES } from './limits.ts';

/** Routes that take forms. */
const FORM_PATHS = /^\/sdapi\/v1\/(?:txt2img|img2img|sparkle)\/?$/i;
/** Fields whose files become a list. */
const LISTS: ReadonlySet<string> = new Set(['init_images']);
/** Field whose text, or file, is a JSON object with all other fields. */
const JSON_FIELD = 'json';
/** Fields that are objects or lists, written as JSON in a form. */
const STRUCTURED = /^\s*[[{]/;
const STRUCTURED_FIELDS: ReadonlySet<string> = new Set([
  'styles',
  'override_settings',
  'script_args',
  'alwayson_scripts',
  'lora',
  'comments',
]);
/** Fields of a form: img2img has 57, and lists may repeat one. */
const MAX_FIELDS = 256;
/** Files of a form: as many pictures as a batch has, and a mask. */
const MAX_FILES = 65;

const upload = multer({
  storage: multer.memoryStorage(),
  limits: {
    fileSize: MAX_IMAGE_BODY_BYTES,
    files: MAX_FILES,
    fields: MAX_FIELDS,
    fieldSize: MAX_BODY_BYTES,
    fieldNameSize: 100,
    parts: MAX_FIELDS + MAX_FILES,
  },
}).any();

/**
 * Reads forms of the routes that take them. Files become base64, texts stay texts, which every field
 * can read; `json` may hold fields that a form cannot. A form says its length, so that all its parts
 * together are bounded as a JSON body is.
 */
export function readForm(): RequestHandler {
  return (req, res, next) => {
    if (!FORM_PATHS.test(req.path) || !req.is('multipart/form-data')) return next();
    const bytes = Number(req.headers['content-length'] ?? Number.NaN);
    if (Number.isNaN(bytes)) {
      return next(new HttpError('LENGTH_REQUIRED', 'Expected a Content-Length for a form.'));
    }
    if (bytes > MAX_IMAGE_BODY_BYTES) {
      const sentence = `Expected a body of at most ${MAX_IMAGE_BODY_BYTES} bytes.`;
      return next(new HttpError('BODY_TOO_LARGE', sentence));
    }
    upload(req, res, (error?: unknown) => {
      if (error) return next(toFormError(error));
      try {
        req.body = toBody(req);
        next();
      } catch (thrown) {
        next(thrown);
      }
    });
  };
}

function toBody(req: Request): Record<string, unknown> {
  const texts = Object.entries(req.body as Record<string, unknown>);
  const files = Array.isArray(req.files) ? req.files : [];
  // A map has no inherited names; what a form says itself wins over its part `json`.
  const body = new Map<string, unknown>();
  for (const [field, value] of texts) {
    if (field === JSON_FIELD) addObject(body, Buffer.from(String(value)));
  }
  for (const { fieldname, buffer } of files) {
    if (fieldname === JSON_FIELD) addObject(body, buffer);
  }
  for (const [field, value] of texts) {
    if (field !== JSON_FIELD) body.set(field, readText(field, value));
  }
  for (const { fieldname, buffer } of files) {
    if (fieldname === JSON_FIELD) continue;
    const text = buffer.toString('base64');
    const known = body.get(fieldname);
    const list = Array.isArray(known) ? known : [];
    body.set(fieldname, LISTS.has(fieldname) ? [...list, text] : text);
  }
  return Object.fromEntries(body);
}

function readText(field: string, value: unknown): unknown {
  if (LISTS.has(field)) return Array.isArray(value) ? value : [value];
  if (typeof value !== 'string' || !STRUCTURED_FIELDS.has(field)) return value;
  if (STRUCTURED.test(value)) return parseJson(Buffer.from(value));
  // `-F styles=ink` is a list of one.
  return field === 'styles' ? [value] : value;
}

function addObject(body: Map<string, unknown>, text: Buffer): void {
  const value = parseJson(text);
  if (!isDict(value)) {
    throw new HttpError('BAD_REQUEST', `Expected a JSON object in the part ${JSON_FIELD}.`);
  }
  for (const [field, part] of Object.entries(value)) body.set(field, part);
}

function toFormError(error: unknown): HttpError {
  const code = error instanceof MulterError ? error.code : null;
  if (code === 'LIMIT_FILE_SIZE' || code === 'LIMIT_FIELD_VALUE') {
    return new HttpError('BODY_TOO_LARGE', 'A part of the form is too large.');
  }
  if (code !== null) return new HttpError('BAD_REQUEST', `The form has too many parts (${code}).`);
  return new HttpError('BAD_REQUEST', 'The form cannot be read.');
}
