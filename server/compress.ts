/** gzip for answers that gain from it. */
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { RequestHandler } from 'express';

/** Bytes from which A1111 compresses; below, the header costs more than is won. */
const MIN_BYTES = 1_000;
/**
 * Bytes from which an answer is a picture: base64 shrinks by a quarter at best, which is not worth
 * the time of a core that draws.
 */
const MAX_BYTES = 512 * 1024;
const TEXTUAL = /^(?:text\/|application\/(?:json|javascript)|image\/svg)/;

const compress = promisify(gzip);

/**
 * Compresses answers that are sent in one piece, when the client says that it takes gzip. Streams
 * pass as they are.
 */
export function compressAnswers(): RequestHandler {
  return (req, res, next) => {
    if (req.method === 'HEAD' || !req.acceptsEncodings('gzip')) return next();
    res.end = new Proxy(res.end, {
      apply(end, self, args: unknown[]) {
        const [chunk, encoding] = args;
        const bytes = toBytes(chunk, encoding);
        const isPlain = !res.headersSent && !res.hasHeader('Content-Encoding');
        const type = String(res.getHeader('Content-Type') ?? '');
        if (bytes === null || !isPlain || !TEXTUAL.test(type))
          return Reflect.apply(end, self, args);
        res.vary('Accept-Encoding');
        if (bytes.length < MIN_BYTES || bytes.length > MAX_BYTES) {
          return Reflect.apply(end, self, args);
        }
        compress(bytes, { level: constants.Z_BEST_SPEED }).then(
          (packed) => {
            if (res.headersSent || res.destroyed) return;
            res.setHeader('Content-Encoding', 'gzip');
            res.setHeader('Content-Length', packed.length);
            Reflect.apply(end, self, [packed]);
          },
          () => Reflect.apply(end, self, [bytes]),
        );
        return self;
      },
    });
    next();
  };
}

function toBytes(chunk: unknown, encoding: unknown): Buffer | null {
  if (Buffer.isBuffer(chunk)) return chunk;
  if (typeof chunk !== 'string') return null;
  return Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
}
