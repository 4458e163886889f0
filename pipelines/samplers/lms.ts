import { combine, type Term } from '../sampling/latents.ts';
import type { Sampler } from './sampler.ts';

/** Slopes a step is extrapolated from. */
const ORDER = 4;

/** Two-point Gauss quadrature is exact for the cubics of order 4. */
const GAUSS_OFFSET = 1 / Math.sqrt(3);

/**
 * Steps a latent down the schedule with the linear multistep method: the polynomial through the
 * last four slopes, integrated over the step.
 *
 * Adams-Bashforth with variable steps, as in k-diffusion.
 */
export const lms: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  const slopes: Float32Array[] = [];
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const denoised = await denoise(x, sigma);
    slopes.unshift(combine(new Float32Array(x.length), [1 / sigma, x], [-1 / sigma, denoised]));
    slopes.length = Math.min(slopes.length, ORDER);
    const weights = slopes.map((slope, j): Term => [integrate(sigmas, i, j, slopes.length), slope]);
    combine(x, [1, x], ...weights);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};

/** Integral over step i of the Lagrange polynomial of the j-th last of `order` slopes. */
function integrate(sigmas: Float32Array, i: number, j: number, order: number): number {
  const middle = (sigmas[i]! + sigmas[i + 1]!) / 2;
  const half = (sigmas[i + 1]! - sigmas[i]!) / 2;
  const lagrange = (tau: number) => {
    let product = 1;
    for (let k = 0; k < order; k++) {
      if (k !== j) product *= (tau - sigmas[i - k]!) / (sigmas[i - j]! - sigmas[i - k]!);
    }
    return product;
  };
  return half * (lagrange(middle - half * GAUSS_OFFSET) + lagrange(middle + half * GAUSS_OFFSET));
}
