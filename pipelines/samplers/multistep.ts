import { combine, type Term } from '../sampling/latents.ts';
import type { Sampler } from './sampler.ts';

/**
 * Weights of the slopes of a multistep method for step i, latest slope first.
 *
 * @param sigmas the schedule
 * @param i      0-based step
 * @param order  slopes there are, 1 … the method's order
 * @returns one weight per slope; they sum to the step's length
 */
export type SlopeWeights = (sigmas: Float32Array, i: number, order: number) => number[];

/**
 * Returns a sampler that extrapolates each step from the slopes (x − denoised)/sigma of the last
 * steps.
 *
 * @param order   most slopes used
 * @param prepare schedule → weights of every step
 */
export function createMultistep(
  order: number,
  prepare: (sigmas: Float32Array) => SlopeWeights,
): Sampler {
  return async (denoise, start, sigmas, context) => {
    const x = start.slice();
    const weigh = prepare(sigmas);
    const slopes: Float32Array[] = [];
    for (let i = 0; i < sigmas.length - 1; i++) {
      const sigma = sigmas[i]!;
      const denoised = await denoise(x, sigma);
      slopes.unshift(combine(new Float32Array(x.length), [1 / sigma, x], [-1 / sigma, denoised]));
      slopes.length = Math.min(slopes.length, order);
      const weights = weigh(sigmas, i, slopes.length);
      combine(x, [1, x], ...weights.map((weight, k): Term => [weight, slopes[k]!]));
      await context.onStep({ i, sigma, denoised, x });
    }
    return x;
  };
}
