import { inflateSync } from 'node:zlib';
import { ImageError } from './errors.ts';
import { IHDR_END, isPng, readChunks, writeChunk } from './png-chunks.ts';

/** Keyword and text of one chunk, e.g. `['parameters', 'a cat\nSteps: 20, …']`. */
export type PngTextEntry = readonly [keyword: string, text: string];

/** Longest keyword of the format, in Latin-1 bytes (PNG 3rd edition, 11.3.3). */
const MAX_KEYWORD_BYTES = 79;

/**
 * Text of all chunks together, in bytes after inflating. An infotext is a few kB; the largest honest
 * guest known is the node graph that ComfyUI stores, some 100 kB, over 1 MB for giant ones.
 */
export const MAX_PNG_TEXT_BYTES = 4 * 1024 * 1024;

/** Text chunks looked at. Pictures carry 1 to 5. */
export const MAX_PNG_TEXT_CHUNKS = 256;

/**
 * Returns the PNG with the texts put in right after its header chunk, where streaming readers find
 * them before the pixels. As Pillow does: `tEXt` where the text is Latin-1, else `iTXt` in UTF-8.
 *
 * @param png      a complete PNG; not changed
 * @param entries  written in this order
 * @throws ImageError `INVALID_ARGUMENT` for a keyword the format does not allow, or bytes that are no PNG
 */
export function writePngText(png: Uint8Array, entries: readonly PngTextEntry[]): Buffer {
  if (!isPng(png) || png.length < IHDR_END) {
    throw new ImageError('INVALID_ARGUMENT', 'Expected a PNG to write text into.');
  }
  const chunks = entries.map(([keyword, text]) => textChunk(keyword, text));
  return Buffer.concat([png.subarray(0, IHDR_END), ...chunks, png.subarray(IHDR_END)]);
}

function textChunk(keyword: string, text: string): Buffer {
  if (keyword.length < 1 || keyword.length > MAX_KEYWORD_BYTES || !isLatin1(keyword)) {
    throw new ImageError(
      'INVALID_ARGUMENT',
      `Expected 1-${MAX_KEYWORD_BYTES} Latin-1 characters for a PNG keyword but received ${JSON.stringify(keyword.slice(0, 100))}.`,
    );
  }
  if (isLatin1(text)) return writeChunk('tEXt', Buffer.from(`${keyword}\0${text}`, 'latin1'));
  // Uncompressed (0), method 0, empty language tag, empty translated keyword.
  const head = Buffer.from(`${keyword}\0\0\0\0\0`, 'latin1');
  return writeChunk('iTXt', Buffer.concat([head, Buffer.from(text, 'utf8')]));
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return false;
  return true;
}

/**
 * Returns the texts of a PNG by keyword, from `tEXt`, `zTXt` and `iTXt` chunks before and after the
 * pixels; the last of two equal keywords wins. Chunks that are damaged are left out, as other
 * readers do, and so is what follows the point where a file is cut off.
 *
 * @param bytes  any bytes; what is no PNG has no texts
 * @throws ImageError `TEXT_TOO_LARGE` beyond `MAX_PNG_TEXT_BYTES` or `MAX_PNG_TEXT_CHUNKS`
 */
export function readPngText(bytes: Uint8Array): Map<string, string> {
  const texts = new Map<string, string>();
  if (!isPng(bytes)) return texts;
  let bytesLeft = MAX_PNG_TEXT_BYTES;
  let chunksLeft = MAX_PNG_TEXT_CHUNKS;
  for (const chunk of readChunks(bytes)) {
    const parse = PARSERS.get(chunk.type);
    if (!parse) continue;
    if (--chunksLeft < 0) {
      throw new ImageError(
        'TEXT_TOO_LARGE',
        `The PNG has over ${MAX_PNG_TEXT_CHUNKS} text chunks.`,
      );
    }
    // Before the CRC: a chunk too large to keep is too large to sum up.
    if (chunk.data.length > bytesLeft) throw tooMuchText();
    if (!chunk.isIntact()) continue;
    const keywordEnd = chunk.data.indexOf(0);
    if (keywordEnd < 1 || keywordEnd > MAX_KEYWORD_BYTES) continue;
    const value = parse(chunk.data.subarray(keywordEnd + 1), bytesLeft);
    if (value === null) continue;
    bytesLeft -= value.bytes;
    if (bytesLeft < 0) throw tooMuchText();
    texts.set(chunk.data.toString('latin1', 0, keywordEnd), value.text);
  }
  return texts;
}

interface TextValue {
  text: string;
  /** Size after inflating. */
  bytes: number;
}

/** What follows the keyword and its NUL → the text; null when the chunk is malformed. */
type TextParser = (rest: Buffer, maxBytes: number) => TextValue | null;

const PARSERS = new Map<string, TextParser>([
  ['tEXt', (rest) => ({ text: rest.toString('latin1'), bytes: rest.length })],
  ['zTXt', parseCompressedText],
  ['iTXt', parseInternationalText],
]);

function parseCompressedText(rest: Buffer, maxBytes: number): TextValue | null {
  if (rest[0] !== 0) return null;
  const inflated = inflateBounded(rest.subarray(1), maxBytes);
  return inflated && { text: inflated.toString('latin1'), bytes: inflated.length };
}

function parseInternationalText(rest: Buffer, maxBytes: number): TextValue | null {
  const compressed = rest[0];
  if ((compressed !== 0 && compressed !== 1) || (compressed === 1 && rest[1] !== 0)) return null;
  const languageEnd = rest.indexOf(0, 2);
  const translatedEnd = languageEnd < 0 ? -1 : rest.indexOf(0, languageEnd + 1);
  if (translatedEnd < 0) return null;
  const stored = rest.subarray(translatedEnd + 1);
  const utf8 = compressed === 1 ? inflateBounded(stored, maxBytes) : stored;
  if (utf8 === null) return null;
  try {
    return { text: STRICT_UTF8.decode(utf8), bytes: utf8.length };
  } catch {
    return null;
  }
}

const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Inflates a zlib stream; null when it is damaged. */
function inflateBounded(data: Buffer, maxBytes: number): Buffer | null {
  try {
    // zlib refuses 0 as a limit; one byte too many is caught by the caller's sum.
    return inflateSync(data, { maxOutputLength: Math.max(1, maxBytes) });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') {
      throw tooMuchText();
    }
    return null;
  }
}

function tooMuchText(): ImageError {
  return new ImageError(
    'TEXT_TOO_LARGE',
    `The PNG has over ${MAX_PNG_TEXT_BYTES} bytes of text in its chunks.`,
  );
}
