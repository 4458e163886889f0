import { ImageError } from './errors.ts';

/** Longest `data:image/…;base64` header looked at, in characters. Honest ones have under 40. */
const MAX_DATA_URL_HEADER = 256;

/**
 * Returns the bytes behind plain base64 or a `data:…;base64,…` URL. White space inside is ignored,
 * missing padding is tolerated, and so is the URL-safe alphabet.
 *
 * @param text   as a client sent it
 * @param field  name of the request field, for the error
 * @throws ImageError `INVALID_BASE64` naming the field
 */
export function decodeBase64Image(text: string, field: string): Buffer {
  const payload = stripDataUrl(text);
  if (payload === null) throw invalid(text, field);
  const bytes = decodeExact(payload) ?? decodeExact(payload.replace(/\s+/g, ''));
  if (bytes === null || bytes.length === 0) throw invalid(text, field);
  return bytes;
}

function stripDataUrl(text: string): string | null {
  if (!/^\s*data:/i.test(text.slice(0, MAX_DATA_URL_HEADER))) return text;
  const comma = text.slice(0, MAX_DATA_URL_HEADER).indexOf(',');
  return comma > 0 && /;base64$/i.test(text.slice(0, comma).trimEnd())
    ? text.slice(comma + 1)
    : null;
}

/** Node skips what is not base64; bytes that are missing afterwards tell that something was skipped. */
function decodeExact(payload: string): Buffer | null {
  let end = payload.length;
  while (end > 0 && payload.length - end < 2 && payload[end - 1] === '=') end--;
  const bytes = Buffer.from(payload, 'base64');
  return bytes.length === Math.floor((end * 3) / 4) && end % 4 !== 1 ? bytes : null;
}

function invalid(text: string, field: string): ImageError {
  const start = JSON.stringify(text.slice(0, 24));
  return new ImageError(
    'INVALID_BASE64',
    `Expected a picture as base64 or a base64 data URL for ${field} but received ${text.length} characters starting with ${start}.`,
  );
}
