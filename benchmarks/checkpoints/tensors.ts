/** What a synthetic file holds, as plain data: one record per tensor, and the layers they come from. */

/** How a tensor's values are made. `fan-in` draws from N(0, gain / sqrt(product of shape[1..])). */
export type Fill =
  | { kind: 'normal'; mean: number; std: number }
  | { kind: 'fan-in'; gain: number }
  | { kind: 'norm-weight' }
  | { kind: 'norm-bias' }
  | { kind: 'data'; dtype: 'F32' | 'I32' | 'I64'; values: readonly number[] };

export interface TensorSpec {
  key: string;
  shape: readonly number[];
  fill: Fill;
}

/**
 * Gain of the last layer of a residual branch. Branches are normalised at their start, so with 0.5
 * the sum grows by a quarter of a unit variance per block and no depth of blocks blows up.
 */
export const RESIDUAL_GAIN = 0.5;

const BIAS: Fill = { kind: 'normal', mean: 0, std: 0.02 };

/** Lists weight [out, in] and, unless switched off, bias [out] of a fully connected layer. */
export function linear(
  key: string,
  out: number,
  inputs: number,
  { bias = true, gain = 1 }: { bias?: boolean; gain?: number } = {},
): TensorSpec[] {
  const weight: TensorSpec = {
    key: `${key}.weight`,
    shape: [out, inputs],
    fill: { kind: 'fan-in', gain },
  };
  return bias ? [weight, { key: `${key}.bias`, shape: [out], fill: BIAS }] : [weight];
}

/** Lists weight [out, in, size, size] and bias [out] of a square convolution. */
export function conv(
  key: string,
  out: number,
  inputs: number,
  size: number,
  gain = 1,
): TensorSpec[] {
  return [
    { key: `${key}.weight`, shape: [out, inputs, size, size], fill: { kind: 'fan-in', gain } },
    { key: `${key}.bias`, shape: [out], fill: BIAS },
  ];
}

/** Lists weight and bias, both [channels], of a group or layer norm. */
export function norm(key: string, channels: number): TensorSpec[] {
  return [
    { key: `${key}.weight`, shape: [channels], fill: { kind: 'norm-weight' } },
    { key: `${key}.bias`, shape: [channels], fill: { kind: 'norm-bias' } },
  ];
}

/** Returns the same tensors with `prefix.` before every key; an empty prefix changes nothing. */
export function under(prefix: string, tensors: readonly TensorSpec[]): TensorSpec[] {
  return prefix === ''
    ? [...tensors]
    : tensors.map((tensor) => ({ ...tensor, key: `${prefix}.${tensor.key}` }));
}

/** Counts the elements of a shape; [] is one scalar, [0] is none. */
export function countElements(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}
