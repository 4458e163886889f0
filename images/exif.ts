/**
 * The one EXIF tag that matters here: UserComment, where JPEG and WebP keep the infotext. Written by
 * hand because the packages at hand lose it: sharp's `withExif` stores non-ASCII as `?`, exifr 7.1 reads
 * UTF-16 as if it were UTF-8, piexif-ts 2.1 writes the field with the wrong type.
 */

/** `UserComment` (EXIF 2.32, 4.6.5) and the pointer from the first directory to the EXIF one. */
const TAG_USER_COMMENT = 0x9286;
const TAG_EXIF_IFD = 0x8769;
/** TIFF field types: unsigned 32-bit, and bytes that only the tag explains. */
const TYPE_LONG = 4;
const TYPE_UNDEFINED = 7;

/** Entries a directory may have before it is taken for garbage. Cameras write under 100. */
const MAX_IFD_ENTRIES = 1024;
/** Directory entry: tag (2), type (2), count (4), value or offset (4). */
const ENTRY_BYTES = 12;

/** Longest comment that is decoded, in bytes; an infotext of the length limit in UTF-16. */
const MAX_COMMENT_BYTES = 1024 * 1024;

const CHARSET_BYTES = 8;
const UNICODE_CHARSET = 'UNICODE\0';

/**
 * Returns an EXIF block as JPEG's APP1 holds it (`Exif\0\0`, then big-endian TIFF) with the text as
 * its only content: UserComment, `UNICODE\0` and UTF-16 big-endian, as the web UI writes.
 */
export function writeUserComment(text: string): Buffer {
  const utf16 = Buffer.from(text, 'utf16le').swap16();
  const head = Buffer.alloc(6 + 8 + 2 * (2 + ENTRY_BYTES + 4));
  head.write('Exif\0\0MM\0*', 0, 'latin1');
  head.writeUInt32BE(8, 10); // first directory, counted from the TIFF header
  const exifIfd = 8 + 2 + ENTRY_BYTES + 4;
  const comment = exifIfd + 2 + ENTRY_BYTES + 4;
  writeIfd(head, 6 + 8, TAG_EXIF_IFD, TYPE_LONG, 1, exifIfd);
  const commentBytes = CHARSET_BYTES + utf16.length;
  writeIfd(head, 6 + exifIfd, TAG_USER_COMMENT, TYPE_UNDEFINED, commentBytes, comment);
  return Buffer.concat([head, Buffer.from(UNICODE_CHARSET, 'latin1'), utf16]);
}

/** Writes a directory with one entry and no successor. */
function writeIfd(
  out: Buffer,
  at: number,
  tag: number,
  type: number,
  count: number,
  value: number,
): void {
  out.writeUInt16BE(1, at);
  out.writeUInt16BE(tag, at + 2);
  out.writeUInt16BE(type, at + 4);
  out.writeUInt32BE(count, at + 6);
  out.writeUInt32BE(value, at + 10);
  out.writeUInt32BE(0, at + 14);
}

/**
 * Returns the text of UserComment, or null when there is none or the block is malformed. Reads either
 * byte order of the TIFF structure, and UTF-16 in either byte order whatever the structure says:
 * writers disagree about both.
 *
 * @param exif  an EXIF block, with or without the leading `Exif\0\0`
 */
export function readUserComment(exif: Uint8Array): string | null {
  const block = Buffer.from(exif.buffer, exif.byteOffset, exif.byteLength);
  const tiff = block.toString('latin1', 0, 6) === 'Exif\0\0' ? block.subarray(6) : block;
  const order = tiff.toString('latin1', 0, 2);
  if (tiff.length < 8 || (order !== 'II' && order !== 'MM')) return null;
  const bigEndian = order === 'MM';
  const u16 = (at: number) => (bigEndian ? tiff.readUInt16BE(at) : tiff.readUInt16LE(at));
  const u32 = (at: number) => (bigEndian ? tiff.readUInt32BE(at) : tiff.readUInt32LE(at));

  /** Offset of the entry with this tag in the directory at `ifd`; null when it has none. */
  const findEntry = (ifd: number, tag: number): number | null => {
    if (ifd + 2 > tiff.length) return null;
    const count = u16(ifd);
    const end = ifd + 2 + count * ENTRY_BYTES;
    if (count > MAX_IFD_ENTRIES || end > tiff.length) return null;
    for (let at = ifd + 2; at < end; at += ENTRY_BYTES) if (u16(at) === tag) return at;
    return null;
  };

  const pointer = findEntry(u32(4), TAG_EXIF_IFD);
  if (pointer === null) return null;
  const entry = findEntry(u32(pointer + 8), TAG_USER_COMMENT);
  if (entry === null) return null;
  const bytes = u32(entry + 4);
  const start = u32(entry + 8);
  if (bytes < CHARSET_BYTES || bytes > MAX_COMMENT_BYTES || start + bytes > tiff.length)
    return null;
  return decodeComment(tiff.subarray(start, start + bytes), bigEndian);
}

/** Splits a comment into its 8-byte character code and the text after it. */
function decodeComment(comment: Buffer, bigEndian: boolean): string {
  const charset = comment.toString('latin1', 0, CHARSET_BYTES);
  const body = comment.subarray(CHARSET_BYTES);
  // `ASCII\0\0\0`, eight NULs (undefined) and writers that skip the code: UTF-8 covers all of them.
  if (charset === 'ASCII\0\0\0' || charset === '\0'.repeat(CHARSET_BYTES)) return utf8(body);
  if (charset !== UNICODE_CHARSET) return utf8(comment);
  const even = body.subarray(0, body.length & ~1);
  const text = utf16(even, guessBigEndian(even, bigEndian));
  return text.replace(/^\ufeff/, '').replace(/\0+$/, '');
}

function utf8(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/\0+$/, '');
}

function utf16(bytes: Buffer, bigEndian: boolean): string {
  return bigEndian ? Buffer.from(bytes).swap16().toString('utf16le') : bytes.toString('utf16le');
}

/**
 * Decides the byte order of UTF-16 text: by its byte order mark, else by counting characters below
 * U+0100. `Steps: …` is ASCII whatever the prompt's script, so one order shows many and the other few.
 */
function guessBigEndian(bytes: Buffer, fallback: boolean): boolean {
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return true;
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return false;
  let highFirst = 0;
  let lowFirst = 0;
  for (let i = 0; i + 1 < bytes.length; i += 2) {
    if (bytes[i] === 0 && bytes[i + 1] !== 0) highFirst++;
    else if (bytes[i] !== 0 && bytes[i + 1] === 0) lowFirst++;
  }
  return highFirst === lowFirst ? fallback : highFirst > lowFirst;
}
