import { combine } from '../sampling/latents.ts';
import { ancestralStep } from './ancestral-step.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down the schedule with Euler's method to below each level, and back up to it with
 * fresh noise.
 *
 * Karras et al. 2022; ancestral step as in k-diffusion.
 */
export const eulerAncestral: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    const { down, up } = ancestralStep(sigma, sigmaNext, context.eta);
    const keep = down / sigma;
    combine(x, [keep, x], [1 - keep, denoised]);
    if (sigmaNext > 0) combine(x, [1, x], [context.sNoise * up, context.noise()]);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};
