import { crc32 } from 'node:zlib';

/** The 8 bytes that every PNG starts with. */
export const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Signature (8) + length (4) + type (4) + IHDR data (13) + CRC (4): where the first free chunk goes. */
export const IHDR_END = 33;

/** Longest chunk the format allows, 2^31 - 1 bytes (PNG 3rd edition, 5.3). */
const MAX_CHUNK_BYTES = 0x7fffffff;

export interface PngChunk {
  /** Four Latin letters, e.g. `tEXt`. */
  type: string;
  /** A view into the file, not a copy. */
  data: Buffer;
  /** Checks the stored CRC on demand: pixels are the decoder's business, so most never need it. */
  isIntact(): boolean;
}

/** Whether the bytes start as a PNG does. */
export function isPng(bytes: Uint8Array): boolean {
  return bytes.length >= PNG_SIGNATURE.length && PNG_SIGNATURE.every((b, i) => bytes[i] === b);
}

/**
 * Yields the chunks of a PNG in file order, up to and including IEND. Ends early, without an error,
 * where the file is cut off or a length cannot be true.
 */
export function* readChunks(bytes: Uint8Array): Generator<PngChunk> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = PNG_SIGNATURE.length;
  while (offset + 12 <= file.length) {
    const length = file.readUInt32BE(offset);
    const dataStart = offset + 8;
    const dataEnd = dataStart + length;
    if (length > MAX_CHUNK_BYTES || dataEnd + 4 > file.length) return;
    const typeStart = offset + 4;
    const type = file.toString('latin1', typeStart, dataStart);
    yield {
      type,
      data: file.subarray(dataStart, dataEnd),
      isIntact: () => crc32(file.subarray(typeStart, dataEnd)) === file.readUInt32BE(dataEnd),
    };
    if (type === 'IEND') return;
    offset = dataEnd + 4;
  }
}

/** Returns a chunk as it stands in a file: length, type, data, CRC of type and data. */
export function writeChunk(type: string, data: Uint8Array): Buffer {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, 'latin1');
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}
