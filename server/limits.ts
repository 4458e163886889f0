/**
 * What the server takes on, beyond what one field may say (`openapi/schemas/bounds.ts`): bodies,
 * pixels of a whole request, the queue, and waiting times. Each with its unit and its reason.
 */
import { HttpError } from './errors.ts';

/** Bytes of a body that may carry pictures: eight 4096 x 4096 PNG photographs are less. */
export const MAX_IMAGE_BODY_BYTES = 64 * 1024 * 1024;
/** Bytes of any other body: all options of A1111 written back are under 20 kB. */
export const MAX_BODY_BYTES = 256 * 1024;
/** Nesting of a body: X/Y/Z plot arguments reach 4; deeper than this only attacks go. */
export const MAX_JSON_DEPTH = 64;

/** width x height x batch_size: one 4096 x 4096 picture, or 64 of 512 x 512. */
export const MAX_BATCH_PIXELS = 4_096 * 4_096;
/**
 * Pixels of all pictures of one request: 100 of 1024 x 1024. The answer is one JSON text, and V8
 * ends texts at 512 Mi characters; noise as PNG takes 4 characters of base64 per pixel.
 */
export const MAX_REQUEST_PIXELS = 100 * 1_024 * 1_024;

/** Jobs that may wait, unless `--queue-size` says otherwise. */
export const DEFAULT_QUEUE_SIZE = 64;

/** Milliseconds for a client to send its headers. */
export const HEADERS_TIMEOUT_MS = 30_000;
/** Milliseconds for a client to send the whole request: 64 MB at 2 Mbit/s. */
export const REQUEST_TIMEOUT_MS = 300_000;
/** The same where clients may send files in: 400 MB at 1 Mbit/s. Node knows one limit for all. */
export const UPLOAD_TIMEOUT_MS = 3_600_000;
/** Milliseconds a connection may idle, as A1111's `--timeout-keep-alive`. */
export const KEEP_ALIVE_TIMEOUT_MS = 30_000;
/** Milliseconds that running and finishing may take after SIGTERM. */
export const SHUTDOWN_GRACE_MS = 30_000;

/**
 * Checks what a whole request asks for.
 *
 * @param width, height  pixels
 * @param batchSize      pictures of one pass
 * @param nIter          passes
 * @throws HttpError LIMIT_EXCEEDED that names the limit, the fields and their product
 */
export function checkPixels(width: number, height: number, batchSize: number, nIter: number): void {
  const batch = width * height * batchSize;
  if (batch > MAX_BATCH_PIXELS) {
    throw new HttpError(
      'LIMIT_EXCEEDED',
      `Expected at most ${MAX_BATCH_PIXELS} pixels for width x height x batch_size but received ` +
        `${width} x ${height} x ${batchSize} = ${batch}.`,
    );
  }
  if (batch * nIter > MAX_REQUEST_PIXELS) {
    throw new HttpError(
      'LIMIT_EXCEEDED',
      `Expected at most ${MAX_REQUEST_PIXELS} pixels for width x height x batch_size x n_iter but ` +
        `received ${width} x ${height} x ${batchSize} x ${nIter} = ${batch * nIter}.`,
    );
  }
}
