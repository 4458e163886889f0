import { combine } from '../sampling/latents.ts';
import { ancestralStep } from './ancestral-step.ts';
import { midpointStep } from './dpm-2.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down with DPM-Solver-2 to below each level, and back up to it with fresh noise.
 *
 * Lu et al. 2022; ancestral step as in k-diffusion.
 */
export const dpm2Ancestral: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const denoised = await denoise(x, sigma);
    const { down, up } = ancestralStep(sigma, sigmas[i + 1]!, context.eta);
    await midpointStep(denoise, x, denoised, sigma, down);
    if (down > 0) combine(x, [1, x], [context.sNoise * up, context.noise()]);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};
