/** What every kind of module is: a change of a weight, as a pure function of its tensors. */
import { LoraError } from '../errors.ts';
import type { Part } from '../parts.ts';
import type { Tensor } from './algebra.ts';

/** A module's tensors as f32. */
export type Parts = ReadonlyMap<Part, Tensor>;

export interface KindRule {
  /** The rank that alpha refers to; null when the kind has none, then its scale is 1. */
  dim(parts: Parts): number | null;
  /**
   * Returns ΔW before scale and weight: as many numbers as W, in its order.
   *
   * @param weight  f32 [out, in, …kernel]; not changed
   * @throws LoraError SHAPE_CONTRADICTION
   */
  delta(weight: Tensor, parts: Parts): Float32Array;
  /**
   * Returns the bias' change before the weight, f32 [out], for kinds that compute it from the bias; null for
   * none.
   */
  biasDelta?(bias: Float32Array, parts: Parts): Float32Array | null;
}

/** A part that the kind needs; `kindOf` has seen to it that it is there. */
export function need(parts: Parts, part: Part): Tensor {
  const tensor = parts.get(part);
  if (!tensor) throw new LoraError('INCOMPLETE_MODULE', `its part ${part} is missing`);
  return tensor;
}

/**
 * Widest block of a rotation: kohya's OFT of 4 blocks on SDXL's widest layer but one has 1,280. Inverting costs
 * the cube of it, half a minute here, and nothing else runs meanwhile.
 */
export const MAX_BLOCK_WIDTH = 2048;

/** @throws LoraError RANK_TOO_LARGE */
export function checkBlockWidth(width: number): void {
  if (width <= MAX_BLOCK_WIDTH) return;
  throw new LoraError(
    'RANK_TOO_LARGE',
    `one of its rotations is ${width} wide and at most ${MAX_BLOCK_WIDTH} is possible`,
  );
}

/** Checks that tensors fit together. @throws LoraError SHAPE_CONTRADICTION */
export function check(fits: boolean, parts: Parts): void {
  if (fits) return;
  const shapes = [...parts].map(([part, { shape }]) => `${part} [${shape.join(', ')}]`);
  throw new LoraError('SHAPE_CONTRADICTION', `its ${shapes.join(', ')} do not fit the layer`);
}
