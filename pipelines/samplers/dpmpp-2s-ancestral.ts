import { combine } from '../sampling/latents.ts';
import { ancestralStep } from './ancestral-step.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down with DPM-Solver++(2S) to below each level, and back up to it with fresh
 * noise; the second evaluation is halfway in log sigma.
 *
 * Lu et al. 2022, "DPM-Solver++", algorithm 1; ancestral step as in k-diffusion.
 */
export const dpmpp2sAncestral: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    const { down, up } = ancestralStep(sigma, sigmaNext, context.eta);
    if (down === 0) {
      x.set(denoised);
    } else {
      const middle = Math.sqrt(sigma * down);
      const half = middle / sigma;
      const x2 = combine(new Float32Array(x.length), [half, x], [1 - half, denoised]);
      const denoised2 = await denoise(x2, middle);
      const keep = down / sigma;
      combine(x, [keep, x], [1 - keep, denoised2]);
    }
    if (sigmaNext > 0) combine(x, [1, x], [context.sNoise * up, context.noise()]);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};
