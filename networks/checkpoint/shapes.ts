import { isWeightDtype } from './dtype.ts';
import { CheckpointError, type CheckpointErrorCode } from './errors.ts';
import type { SafetensorsFile } from './safetensors.ts';

/** Tensors a network must have: name → shape. Sizes of 1 at the end of a shape do not matter. */
export type ExpectedTensors = Map<string, number[]>;

export function hasTensor(file: SafetensorsFile, name: string): boolean {
  return file.tensors.has(name);
}

/** Whether any tensor name starts so. */
export function hasPrefix(file: SafetensorsFile, prefix: string): boolean {
  for (const name of file.tensors.keys()) if (name.startsWith(prefix)) return true;
  return false;
}

/**
 * Returns the shape of a tensor that must exist and have `rank` dimensions.
 *
 * @param missing  code of the error when it does not exist
 * @throws CheckpointError `missing` or SHAPE_CONTRADICTION
 */
export function shapeOf(
  file: SafetensorsFile,
  name: string,
  rank: number,
  missing: CheckpointErrorCode,
): number[] {
  const info = file.tensors.get(name);
  if (info === undefined) {
    throw new CheckpointError(missing, file.path, 'It is missing.', name);
  }
  if (info.shape.length !== rank) {
    throw new CheckpointError(
      'SHAPE_CONTRADICTION',
      file.path,
      `Expected ${rank} dimensions but received [${info.shape.join(', ')}].`,
      name,
    );
  }
  return info.shape;
}

/**
 * Checks that every expected tensor is there, has its shape and holds plain floating-point weights.
 *
 * A Linear [c, c] and a 1x1 convolution [c, c, 1, 1] hold the same numbers, and files have both.
 *
 * @param missing  code of the error for absent tensors
 * @param part     the network's name for the sentence, e.g. `the UNet`
 * @throws CheckpointError `missing` (with how many and which first), SHAPE_CONTRADICTION,
 *   QUANTIZED or DTYPE_UNSUPPORTED
 */
export function checkTensors(
  file: SafetensorsFile,
  expected: ExpectedTensors,
  missing: CheckpointErrorCode,
  part: string,
): void {
  let absent = 0;
  let firstAbsent = '';
  for (const [name, shape] of expected) {
    const info = file.tensors.get(name);
    if (info === undefined) {
      if (absent++ === 0) firstAbsent = name;
      continue;
    }
    if (!isWeightDtype(info.dtype)) throw wrongDtype(file, name, info.dtype);
    if (!isSameShape(info.shape, shape)) {
      throw new CheckpointError(
        'SHAPE_CONTRADICTION',
        file.path,
        `Expected [${shape.join(', ')}], as the rest of ${part} says, but received [${info.shape.join(', ')}].`,
        name,
      );
    }
  }
  if (absent > 0) {
    throw new CheckpointError(
      missing,
      file.path,
      `${absent} of the ${expected.size} tensors of ${part} are missing, the first is this.`,
      firstAbsent,
    );
  }
}

/**
 * Checks that no weight of a network is left over: one without a place would silently be ignored,
 * which happens when a layer in the middle of a stack is missing.
 *
 * @param prefix  where the network's names start
 * @param layers  what follows the prefix in names that belong to a layer; others (buffers) pass
 * @throws CheckpointError UNEXPECTED_TENSOR
 */
export function checkNothingLeft(
  file: SafetensorsFile,
  expected: ExpectedTensors,
  prefix: string,
  layers: RegExp,
  part: string,
): void {
  for (const name of file.tensors.keys()) {
    if (!name.startsWith(prefix) || expected.has(name)) continue;
    if (!/(weight|bias)$/.test(name) || !layers.test(name.slice(prefix.length))) continue;
    throw new CheckpointError(
      'UNEXPECTED_TENSOR',
      file.path,
      `${part} has no place for it: a layer before it is missing, or this is another model.`,
      name,
    );
  }
}

function wrongDtype(file: SafetensorsFile, name: string, dtype: string): CheckpointError {
  if (dtype === 'U8' || dtype === 'I8' || dtype === 'F4' || dtype === 'I32') {
    return new CheckpointError(
      'QUANTIZED',
      file.path,
      `The weights are packed as ${dtype}: quantized checkpoints cannot be run, take the fp16 one.`,
      name,
    );
  }
  return new CheckpointError(
    'DTYPE_UNSUPPORTED',
    file.path,
    `Expected F16, BF16, F32, F64 or F8 weights but received ${dtype}.`,
    name,
  );
}

function isSameShape(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if ((a[i] ?? 1) !== (b[i] ?? 1)) return false;
  }
  return true;
}
