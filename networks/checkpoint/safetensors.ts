import fs from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { toFloat32 } from './dtype.ts';
import { CheckpointError, type CheckpointErrorCode, quoteName } from './errors.ts';
import { refuseForeignFormat, refusePickleName, SNIFF_BYTES } from './foreign-format.ts';
import {
  type Header,
  LENGTH_BYTES,
  MAX_HEADER_BYTES,
  parseHeader,
  type TensorInfo,
} from './header.ts';

export type { TensorInfo } from './header.ts';

/** Largest tensor that is read into memory, in bytes. SDXL's largest in float32 is 253 MB. */
export const MAX_TENSOR_READ_BYTES = 2 ** 30;
/** Most bytes of one read call: the system's own limit is just below 2^31. */
const MAX_READ_CALL_BYTES = 2 ** 30;

/** A weights file whose header was read and checked. Its data was not. */
export interface SafetensorsFile extends Header {
  /** Absolute path, symbolic links resolved. */
  path: string;
  /** Size of the file. */
  bytes: number;
  /** Time of the last change, in milliseconds since 1970, and inode: see `isUnchanged`. */
  mtimeMs: number;
  inode: number;
}

/**
 * Reads and checks the header of a safetensors file; the data is not touched.
 *
 * Refuses before it allocates: kind of file, size of file, size of header, syntax, names, ranges,
 * arithmetic against the file.
 *
 * @param filePath  the file; symbolic links are followed
 * @throws CheckpointError with the code of the first fault; PICKLE for pickles under any name
 */
export async function readHeader(filePath: string): Promise<SafetensorsFile> {
  let handle: FileHandle | undefined;
  try {
    const real = await realpath(filePath);
    refusePickleName(filePath);
    refusePickleName(real);
    // Opening a pipe waits for a writer: look first.
    if (!(await stat(real)).isFile()) throw notAFile(filePath);
    handle = await open(real, 'r');
    const stats = await handle.stat();
    if (!stats.isFile()) throw notAFile(filePath);
    const header = await readFrom(handle, stats.size, real);
    return {
      ...header,
      path: real,
      bytes: stats.size,
      mtimeMs: stats.mtimeMs,
      inode: stats.ino,
    };
  } catch (error) {
    throw asCheckpointError(error, filePath);
  } finally {
    await handle?.close();
  }
}

async function readFrom(handle: FileHandle, fileBytes: number, file: string): Promise<Header> {
  const fail = (code: CheckpointErrorCode, detail: string): CheckpointError =>
    new CheckpointError(code, file, detail);
  if (fileBytes === 0) throw fail('EMPTY_FILE', 'The file is empty.');

  const head = await readExactly(handle, 0, Math.min(SNIFF_BYTES, fileBytes), file);
  const [last = -1] = await readExactly(handle, fileBytes - 1, 1, file);
  refuseForeignFormat(head, last, file);
  if (fileBytes < LENGTH_BYTES) {
    throw fail('FILE_TOO_SMALL', `The file has ${fileBytes} bytes; a header length alone takes 8.`);
  }

  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  if (length < 2n) throw fail('HEADER_TOO_SMALL', `The header has ${length} bytes.`);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw fail(
      'HEADER_TOO_LARGE',
      `The header would have ${length} bytes; at most ${MAX_HEADER_BYTES}. This is probably not a safetensors file.`,
    );
  }
  const headerBytes = Number(length);
  if (LENGTH_BYTES + headerBytes > fileBytes) {
    throw fail(
      'HEADER_PAST_END',
      `The header would have ${headerBytes} bytes but the file has ${fileBytes}: it is cut short.`,
    );
  }
  return parseHeader(await readExactly(handle, LENGTH_BYTES, headerBytes, file), fileBytes, file);
}

async function readExactly(
  handle: FileHandle,
  position: number,
  length: number,
  file: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) {
      throw new CheckpointError('FILE_CHANGED', file, 'The file became shorter while it was read.');
    }
    done += bytesRead;
  }
  return bytes;
}

/**
 * Whether the file on disk is still the one whose header was read: same size, time of change and
 * inode. Call before a job: the runtime maps the file, and a change would silently mix weights.
 */
export function isUnchanged(file: SafetensorsFile): boolean {
  const stats = fs.statSync(file.path, { throwIfNoEntry: false });
  return stats !== undefined && isSame(file, stats);
}

function isSame(file: SafetensorsFile, stats: fs.Stats): boolean {
  return stats.size === file.bytes && stats.mtimeMs === file.mtimeMs && stats.ino === file.inode;
}

/**
 * Finds a tensor by name.
 *
 * @throws CheckpointError TENSOR_NOT_FOUND
 */
export function getTensor(file: SafetensorsFile, name: string): TensorInfo {
  const info = file.tensors.get(name);
  if (info === undefined) {
    throw new CheckpointError('TENSOR_NOT_FOUND', file.path, `There is no ${quoteName(name)}.`);
  }
  return info;
}

/**
 * Reads the bytes of one tensor.
 *
 * @returns a copy in a buffer of its own (offset 0), so that typed arrays of any width fit on it
 * @throws CheckpointError TENSOR_TOO_LARGE, FILE_CHANGED, NOT_FOUND, NOT_READABLE
 */
export function readTensor(file: SafetensorsFile, info: TensorInfo): Uint8Array {
  if (info.bytes > MAX_TENSOR_READ_BYTES) {
    throw new CheckpointError(
      'TENSOR_TOO_LARGE',
      file.path,
      `It has ${info.bytes} bytes; at most ${MAX_TENSOR_READ_BYTES} are read into memory.`,
      info.name,
    );
  }
  const changed = (): CheckpointError =>
    new CheckpointError(
      'FILE_CHANGED',
      file.path,
      'The file changed on disk after its header was read.',
      info.name,
    );
  let fd: number | undefined;
  try {
    fd = fs.openSync(file.path, 'r');
    if (!isSame(file, fs.fstatSync(fd))) throw changed();
    // Not zeroed, for speed: every byte is read, or this throws.
    const bytes = Buffer.allocUnsafeSlow(info.bytes);
    let done = 0;
    while (done < info.bytes) {
      const part = Math.min(info.bytes - done, MAX_READ_CALL_BYTES);
      const read = fs.readSync(fd, bytes, done, part, info.offset + done);
      if (read === 0) throw changed();
      done += read;
    }
    return new Uint8Array(bytes.buffer);
  } catch (error) {
    throw asCheckpointError(error, file.path);
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

/**
 * Reads one tensor as float32.
 *
 * @throws CheckpointError as `readTensor`; DTYPE_UNSUPPORTED when its numbers are not plain
 */
export function readFloat32(file: SafetensorsFile, info: TensorInfo): Float32Array {
  const values = toFloat32(readTensor(file, info), info.dtype);
  if (values === null) {
    throw new CheckpointError(
      'DTYPE_UNSUPPORTED',
      file.path,
      `Numbers of dtype ${info.dtype} cannot be converted to float32.`,
      info.name,
    );
  }
  return values;
}

function notAFile(file: string): CheckpointError {
  return new CheckpointError('NOT_A_FILE', file, 'This is not a regular file.');
}

/** System errors as ours; the path stays out of the message. */
function asCheckpointError(error: unknown, file: string): Error {
  if (error instanceof CheckpointError) return error;
  if (!(error instanceof Error)) return new Error(String(error));
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new CheckpointError('NOT_FOUND', file, 'There is no such file.');
  }
  if (code.startsWith('E')) {
    const name = path.basename(file);
    return new CheckpointError('NOT_READABLE', file, `The system cannot read ${name} (${code}).`);
  }
  return error;
}
