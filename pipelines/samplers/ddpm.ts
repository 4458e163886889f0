import { combine, type Term } from '../sampling/latents.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down the schedule by drawing from DDPM's posterior.
 *
 * Ho et al. 2020, equation 11 with the posterior variance, in the variance-exploding form of
 * ComfyUI: latents are scaled by √(1 + sigma²), but for the last one.
 */
export const ddpm: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    const alphaBar = 1 / (1 + sigma ** 2);
    const alphaBarNext = 1 / (1 + sigmaNext ** 2);
    const alpha = alphaBar / alphaBarNext;
    const scale = Math.sqrt((1 + sigmaNext ** 2) / alpha);
    // Share of the predicted noise (x − denoised)/sigma that is taken away.
    const removed = (1 - alpha) / Math.sqrt(1 - alphaBar) / sigma;
    const terms: Term[] = [
      [scale * (Math.sqrt(alphaBar) - removed), x],
      [scale * removed, denoised],
    ];
    if (sigmaNext > 0) {
      const variance = ((1 - alpha) * (1 - alphaBarNext)) / (1 - alphaBar);
      terms.push([Math.sqrt(variance * (1 + sigmaNext ** 2)), context.noise()]);
    }
    combine(x, ...terms);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};
