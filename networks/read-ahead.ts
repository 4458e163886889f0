/**
 * Reads the weights of a network ahead of onnxruntime, which maps the file and waits for every page.
 *
 * A session is made on one thread, most of which time goes into converting half-precision weights.
 * A second thread reads the same bytes meanwhile, so that the system's cache has them when they are
 * asked for.
 */
import { Worker } from 'node:worker_threads';
import type { Model } from './onnx/proto.ts';

/** Smaller networks are read before a thread has started. */
export const MIN_BYTES = 2 ** 26;
/**
 * Memory that must be free, as a multiple of the bytes read: room for them and for twice as many of
 * f32. With less the system would drop what was read before it is used.
 */
const ROOM = 3;
const CHUNK_BYTES = 2 ** 22;

// Source text, because a file would need one path under a loader and another when compiled.
const READER_SOURCE = `
  const fs = require('node:fs');
  const { parentPort, workerData } = require('node:worker_threads');
  const chunk = Buffer.allocUnsafe(${CHUNK_BYTES});
  const file = fs.openSync(workerData.file, 'r');
  let bytes = 0;
  for (const [from, to] of workerData.ranges) {
    for (let at = from; at < to; ) {
      const read = fs.readSync(file, chunk, 0, Math.min(chunk.length, to - at), at);
      if (read === 0) break;
      at += read;
      bytes += read;
    }
  }
  fs.closeSync(file);
  parentPort.postMessage(bytes);
`;

/** Bytes from the first up to but without the second. */
export type ByteRange = [from: number, to: number];

/** Returns the ranges of the weights file that a graph refers to, in the file's order, neighbours as one. */
export function weightRanges({ initializers }: Model): ByteRange[] {
  const ranges: ByteRange[] = [];
  const parts = initializers.flatMap(({ data }) => (data instanceof Uint8Array ? [] : [data]));
  for (const { offset, bytes } of parts.sort((a, b) => a.offset - b.offset)) {
    const last = ranges.at(-1);
    if (last?.[1] === offset) last[1] += bytes;
    else ranges.push([offset, offset + bytes]);
  }
  return ranges;
}

/**
 * Reads ranges of a file on a thread of its own, which does not keep the process alive; what is read
 * is dropped.
 *
 * A file that cannot be read is no error here: whoever needs its bytes will say so.
 *
 * @param free  bytes of memory that are available, the system's file cache among them
 * @returns bytes that were read; null when there is too little to read, too little memory, or
 *   reading failed
 */
export async function readAhead(
  file: string,
  ranges: readonly ByteRange[],
  free: number = process.availableMemory(),
): Promise<number | null> {
  const bytes = ranges.reduce((sum, [from, to]) => sum + to - from, 0);
  if (bytes < MIN_BYTES || free < ROOM * bytes) return null;
  const reading = new Promise<number>((resolve, reject) => {
    const workerData = { file, ranges };
    const worker = new Worker(READER_SOURCE, { eval: true, execArgv: [], workerData });
    worker.unref();
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return reading.catch(() => null);
}
