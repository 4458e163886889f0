import { combine } from '../sampling/latents.ts';
import { churn } from './churn.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down the schedule with Euler's method.
 *
 * Karras et al. 2022, algorithm 2 without the second evaluation.
 */
export const euler: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  const n = sigmas.length - 1;
  for (let i = 0; i < n; i++) {
    const sigma = sigmas[i]!;
    const sigmaHat = churn(x, sigma, n, context);
    const denoised = await denoise(x, sigmaHat);
    // x + (x − denoised)/sigma_hat · dt, written as the mix of both that it is.
    const keep = sigmas[i + 1]! / sigmaHat;
    combine(x, [keep, x], [1 - keep, denoised]);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};
