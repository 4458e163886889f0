import { TorchCpuGenerator } from './mt19937.ts';
import { PhiloxGenerator } from './philox.ts';

/** Where random numbers come from: Philox as an NVIDIA GPU makes them, or PyTorch's CPU generator. */
export type NoiseSource = 'NV' | 'CPU';

/** A seeded stream of unit normal tensors. */
export interface NormalGenerator {
  /** Returns the next n unit normal values as a fresh f32 [n]. */
  normal(n: number): Float32Array;
}

/**
 * Returns a fresh generator.
 *
 * @param source which generator
 * @param seed   integer
 * @returns generator at its first draw
 */
export function createGenerator(source: NoiseSource, seed: number): NormalGenerator {
  return source === 'NV' ? new PhiloxGenerator(seed) : new TorchCpuGenerator(seed);
}
