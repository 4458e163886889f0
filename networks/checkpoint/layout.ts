import { DTYPE_BITS, type Dtype } from './dtype.ts';
import { CheckpointError, type CheckpointErrorCode } from './errors.ts';
import type { Fail } from './header-scanner.ts';

/** Where one tensor lies and what it is. */
export interface TensorInfo {
  name: string;
  dtype: Dtype;
  /** Sizes, outermost first; [] is a single number. */
  shape: number[];
  /** First byte, counted from the start of the file. */
  offset: number;
  /** Length in bytes. */
  bytes: number;
}

/** One tensor as the header describes it, not yet compared with the file. */
export interface RawTensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** Bytes, counted from the start of the data. */
  begin: number;
  end: number;
}

/**
 * Does the arithmetic against the file: every byte of the data must belong to exactly one tensor.
 *
 * @param raw         the tensors in any order; sorted in place
 * @param dataOffset  first byte of the data in the file
 * @returns the tensors by name, in the order of the data
 * @throws CheckpointError OFFSETS_*, SHAPE_OVERFLOW, DTYPE_MISALIGNED, SIZE_MISMATCH, DATA_NOT_COVERED
 */
export function placeTensors(
  raw: RawTensor[],
  dataOffset: number,
  fileBytes: number,
  file: string,
): Map<string, TensorInfo> {
  const dataBytes = fileBytes - dataOffset;
  const tensors = new Map<string, TensorInfo>();
  // Names may stand in any order in the header; an empty tensor sorts before its neighbour.
  raw.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let cursor = 0;
  for (const { name, dtype, shape, begin, end } of raw) {
    const fail = (code: CheckpointErrorCode, detail: string): CheckpointError =>
      new CheckpointError(code, file, detail, name);
    if (end < begin) throw fail('OFFSETS_REVERSED', `It ends at ${end}, before ${begin}.`);
    if (end > dataBytes) {
      throw fail(
        'OFFSETS_PAST_END',
        `It ends at byte ${end} of the data, which has ${dataBytes}: the file is cut short or damaged.`,
      );
    }
    if (begin < cursor) throw fail('OFFSETS_OVERLAP', `It begins at ${begin}, before ${cursor}.`);
    if (begin > cursor) {
      throw fail('OFFSETS_HOLE', `Bytes ${cursor} to ${begin} of the data belong to no tensor.`);
    }
    const bytes = sizeOf(shape, dtype, fail);
    if (end - begin !== bytes) {
      throw fail(
        'SIZE_MISMATCH',
        `[${shape.join(', ')}] of ${dtype} takes ${bytes} bytes but its range has ${end - begin}.`,
      );
    }
    tensors.set(name, { name, dtype, shape, offset: dataOffset + begin, bytes });
    cursor = end;
  }
  if (cursor !== dataBytes) {
    throw new CheckpointError(
      'DATA_NOT_COVERED',
      file,
      `The tensors end at byte ${cursor} of the data, which has ${dataBytes}.`,
    );
  }
  return tensors;
}

/** Bytes that shape and dtype ask for; the product is checked at every factor. */
function sizeOf(shape: readonly number[], dtype: Dtype, fail: Fail): number {
  let bits: number = DTYPE_BITS[dtype];
  for (const size of shape) {
    bits *= size;
    if (bits > Number.MAX_SAFE_INTEGER) {
      throw fail('SHAPE_OVERFLOW', `[${shape.join(', ')}] is more than any file can hold.`);
    }
  }
  if (bits % 8 !== 0) {
    throw fail('DTYPE_MISALIGNED', `[${shape.join(', ')}] of ${dtype} does not fill whole bytes.`);
  }
  return bits / 8;
}
