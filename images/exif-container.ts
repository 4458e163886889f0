import { ImageError } from './errors.ts';

/** Payload limit of a JPEG segment: the 16-bit length counts itself. */
export const MAX_JPEG_SEGMENT_BYTES = 0xffff - 2;

/** WebP: `RIFF` size `WEBP`, then chunks of FourCC (4), size (4), data padded to even. */
const RIFF_HEADER_BYTES = 12;
const VP8X_EXIF_FLAG = 0x08;

/**
 * Returns the JPEG with an EXIF block as its first segment, or unchanged when the block is larger than
 * a segment can be (65,533 bytes): a picture is worth more than its label.
 *
 * @param exif  a block that starts with `Exif\0\0`
 */
export function putExifIntoJpeg(jpeg: Buffer, exif: Buffer): Buffer {
  if (jpeg[0] !== 0xff || jpeg[1] !== 0xd8) {
    throw new ImageError('INVALID_ARGUMENT', 'Expected a JPEG to write EXIF into.');
  }
  if (exif.length > MAX_JPEG_SEGMENT_BYTES) return jpeg;
  const app1 = Buffer.from([0xff, 0xe1, (exif.length + 2) >> 8, (exif.length + 2) & 0xff]);
  return Buffer.concat([jpeg.subarray(0, 2), app1, exif, jpeg.subarray(2)]);
}

/**
 * Returns the WebP with an EXIF chunk at its end. A simple file (`VP8 ` or `VP8L`) becomes an extended
 * one, whose first chunk announces the EXIF and repeats the size of the canvas (RFC 9649, 2.7).
 *
 * @param exif  a block that starts with `Exif\0\0`; WebP stores it without these 6 bytes
 */
export function putExifIntoWebp(webp: Buffer, exif: Buffer, width: number, height: number): Buffer {
  const isWebp =
    webp.length > RIFF_HEADER_BYTES + 8 &&
    webp.toString('latin1', 0, 4) === 'RIFF' &&
    webp.toString('latin1', 8, 12) === 'WEBP';
  if (!isWebp) throw new ImageError('INVALID_ARGUMENT', 'Expected a WebP to write EXIF into.');
  const first = webp.toString('latin1', RIFF_HEADER_BYTES, RIFF_HEADER_BYTES + 4);
  const vp8x = first === 'VP8X' ? Buffer.alloc(0) : riffChunk('VP8X', Buffer.alloc(10));
  const file = Buffer.concat([
    webp.subarray(0, RIFF_HEADER_BYTES),
    vp8x,
    webp.subarray(RIFF_HEADER_BYTES),
    riffChunk('EXIF', exif.subarray(6)),
  ]);
  file.writeUInt32LE(file.length - 8, 4);
  const flags = RIFF_HEADER_BYTES + 8;
  file.writeUInt8(file.readUInt8(flags) | VP8X_EXIF_FLAG, flags);
  if (vp8x.length > 0) {
    file.writeUIntLE(width - 1, flags + 4, 3);
    file.writeUIntLE(height - 1, flags + 7, 3);
  }
  return file;
}

function riffChunk(fourCc: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(8 + data.length + (data.length & 1));
  chunk.write(fourCc, 0, 'latin1');
  chunk.writeUInt32LE(data.length, 4);
  chunk.set(data, 8);
  return chunk;
}
