/** Tells tensors that are all zeros: layers that a layout demands and a model does not use. */
import fs from 'node:fs';
import type { SafetensorsFile, TensorInfo } from './safetensors.ts';

/** Bytes per read: a tensor in use is nearly always known from the first read. */
const CHUNK_BYTES = 2 ** 16;

/**
 * Whether every byte of a tensor is zero, which makes every number zero in all dtypes; a minus
 * zero counts as a value. Reads up to the first byte that is not zero.
 *
 * @returns false, too, when the file cannot be read as far as its header says: whoever loads the
 *          tensor reports that
 */
export function isZeroTensor(file: SafetensorsFile, info: TensorInfo): boolean {
  let fd: number;
  try {
    fd = fs.openSync(file.path, 'r');
  } catch {
    return false;
  }
  try {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, info.bytes));
    for (let done = 0; done < info.bytes; ) {
      const wanted = Math.min(chunk.length, info.bytes - done);
      const read = fs.readSync(fd, chunk, 0, wanted, info.offset + done);
      if (read === 0 || chunk.subarray(0, read).some((byte) => byte !== 0)) return false;
      done += read;
    }
    return true;
  } finally {
    fs.closeSync(fd);
  }
}
