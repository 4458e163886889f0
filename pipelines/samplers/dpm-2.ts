import { combine } from '../sampling/latents.ts';
import { churn } from './churn.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down the schedule with a second evaluation at the geometric mean of both levels.
 *
 * Lu et al. 2022, DPM-Solver-2, in the frame of Karras et al. 2022, algorithm 2.
 */
export const dpm2: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  const n = sigmas.length - 1;
  for (let i = 0; i < n; i++) {
    const sigma = sigmas[i]!;
    const sigmaHat = churn(x, sigma, n, context);
    const denoised = await denoise(x, sigmaHat);
    await midpointStep(denoise, x, denoised, sigmaHat, sigmas[i + 1]!);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};

/**
 * Takes one DPM-Solver-2 step in place, Euler's where the step ends at 0.
 *
 * @param denoise  the model
 * @param x        latent at sigma; changed to sigmaNext
 * @param denoised the model's answer to x at sigma
 * @param sigma    level of x
 * @param sigmaNext level after the step
 */
export async function midpointStep(
  denoise: Parameters<Sampler>[0],
  x: Float32Array,
  denoised: Float32Array,
  sigma: number,
  sigmaNext: number,
): Promise<void> {
  if (sigmaNext === 0) {
    x.set(denoised);
    return;
  }
  const middle = Math.sqrt(sigma * sigmaNext);
  const keep = middle / sigma;
  const x2 = combine(new Float32Array(x.length), [keep, x], [1 - keep, denoised]);
  const denoised2 = await denoise(x2, middle);
  // Slope (x − denoised)/sigma at the middle, over the whole step.
  const slope = (sigmaNext - sigma) / middle;
  combine(x, [1, x], [slope, x2], [-slope, denoised2]);
}
