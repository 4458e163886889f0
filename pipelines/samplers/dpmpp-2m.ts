import { combine } from '../sampling/latents.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down the schedule with DPM-Solver++(2M): second order from the previous step's
 * answer, first order in the first step and to level 0.
 *
 * Lu et al. 2022, "DPM-Solver++", algorithm 2; h is the step in -log sigma.
 */
export const dpmpp2m: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  let previous: Float32Array | null = null;
  let hLast = 0;
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    const keep = sigmaNext / sigma;
    const h = -Math.log(keep);
    if (previous === null || sigmaNext === 0) {
      combine(x, [keep, x], [1 - keep, denoised]);
    } else {
      const r = hLast / h;
      const ahead = 1 + 1 / (2 * r);
      combine(x, [keep, x], [(1 - keep) * ahead, denoised], [(1 - keep) * (1 - ahead), previous]);
    }
    previous = denoised;
    hLast = h;
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};
