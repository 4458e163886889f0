import { CheckpointError, type CheckpointErrorCode } from './errors.ts';

/** Extensions under which PyTorch writes pickles. */
const PICKLE_EXTENSION = /\.(ckpt|pt|pth|bin|pkl|pickle)$/i;

/** Bytes at the start of a file that `sniffFormat` wants to see. */
export const SNIFF_BYTES = 64;

const PICKLE_ADVICE =
  'a pickle can run any code when it is opened, so this server never opens one. ' +
  'Convert it to .safetensors (for instance with the web UI, checkpoint merger, "No interpolation").';

/**
 * Refuses a pickle by its extension, without opening it.
 *
 * @throws CheckpointError PICKLE
 */
export function refusePickleName(file: string): void {
  const match = PICKLE_EXTENSION.exec(file);
  if (match !== null) {
    throw new CheckpointError(
      'PICKLE',
      file,
      `Files with the extension ${match[0]} hold pickles: ${PICKLE_ADVICE}`,
    );
  }
}

/**
 * Names the format of a file that is not safetensors, for a better error than "header too large".
 *
 * An honest safetensors file never matches: read as a header length, each of these signatures is
 * over `MAX_HEADER_BYTES`.
 *
 * @param head  the first bytes of the file, up to SNIFF_BYTES
 * @param last  the file's last byte; -1 when it is empty
 * @throws CheckpointError PICKLE or FOREIGN_FORMAT; returns when nothing was recognised
 */
export function refuseForeignFormat(head: Uint8Array, last: number, file: string): void {
  const text = String.fromCharCode(...head);
  const refuse = (code: CheckpointErrorCode, detail: string): CheckpointError =>
    new CheckpointError(code, file, detail);

  if (text.startsWith('PK\x03\x04') || text.startsWith('PK\x05\x06')) {
    throw refuse('PICKLE', `This is a zip archive, as torch.save writes it: ${PICKLE_ADVICE}`);
  }
  if (looksLikePickle(head, last)) {
    throw refuse('PICKLE', `This is a pickle under another name: ${PICKLE_ADVICE}`);
  }
  if (text.startsWith('GGUF')) {
    throw refuse('FOREIGN_FORMAT', 'This is a GGUF file; only .safetensors can be read.');
  }
  if (text.startsWith('version https://git-lfs')) {
    throw refuse(
      'FOREIGN_FORMAT',
      'This is a Git LFS pointer, not the weights: fetch them with "git lfs pull".',
    );
  }
  if (/^\s*<(!doctype|html|\?xml|head)/i.test(text)) {
    throw refuse(
      'FOREIGN_FORMAT',
      'This is a web page, probably an error or login page saved by a download.',
    );
  }
  if (text.startsWith('\x1f\x8b') || text.startsWith('7z\xbc\xaf') || text.startsWith('Rar!')) {
    throw refuse('FOREIGN_FORMAT', 'This is a compressed archive: unpack it first.');
  }
  if (text.startsWith('\x89HDF')) {
    throw refuse('FOREIGN_FORMAT', 'This is an HDF5 file; only .safetensors can be read.');
  }
}

/** First opcodes of text pickles (protocols 0 and 1): GLOBAL, MARK, the empty and dict forms ... */
const TEXT_PICKLE_START = /^[c(\]}lditFIVSN]/;

/**
 * Whether the bytes start like a pickle.
 *
 * Binary protocols start with PROTO (0x80) and a version of 2 to 5. An honest header of 640 bytes
 * starts with the same two bytes, but then with zeros: a pickle's next bytes are opcodes. Text
 * protocols have no signature: a plausible first opcode, printable bytes, and STOP (".") as the
 * last byte of the file.
 */
function looksLikePickle(head: Uint8Array, last: number): boolean {
  const [first = 0, second = 0] = head;
  const upper = head.subarray(4, 8);
  if (first === 0x80 && second >= 2 && second <= 5) {
    return head.length < 8 || upper.some((byte) => byte !== 0);
  }
  if (last !== 0x2e || head.length < 2) return false;
  const printable = head.every((byte) => byte === 0x0a || (byte >= 0x20 && byte < 0x7f));
  return printable && TEXT_PICKLE_START.test(String.fromCharCode(first));
}
