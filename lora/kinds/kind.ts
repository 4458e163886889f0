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
}

/** A part that the kind needs; `kindOf` has seen to it that it is there. */
export function need(parts: Parts, part: Part): Tensor {
  const tensor = parts.get(part);
  if (!tensor) throw new LoraError('INCOMPLETE_MODULE', `its part ${part} is missing`);
  return tensor;
}

/** Checks that tensors fit together. @throws LoraError SHAPE_CONTRADICTION */
export function check(fits: boolean, parts: Parts): void {
  if (fits) return;
  const shapes = [...parts].map(([part, { shape }]) => `${part} [${shape.join(', ')}]`);
  throw new LoraError('SHAPE_CONTRADICTION', `its ${shapes.join(', ')} do not fit the layer`);
}
