import { combine, type Term } from '../sampling/latents.ts';
import { ancestralStep } from './ancestral-step.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down with Euler's method in CFG++: from the guided estimate of the clean latent,
 * along the noise that the unguided one leaves. With eta, ancestral.
 *
 * Chung et al. 2024, "CFG++", algorithm 2, in the variance-exploding form of ComfyUI. Guidance is
 * meant to be about 1 to 2.
 */
export const eulerAncestralCfgPp: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    const { down, up } = ancestralStep(sigma, sigmaNext, context.eta);
    const slope = down / sigma;
    const terms: Term[] = [
      [1, denoised],
      [slope, x],
      [-slope, context.uncond()],
    ];
    if (up > 0) terms.push([context.sNoise * up, context.noise()]);
    combine(x, ...terms);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};

/** Euler CFG++, without fresh noise. */
export const eulerCfgPp: Sampler = (denoise, start, sigmas, context) =>
  eulerAncestralCfgPp(denoise, start, sigmas, { ...context, eta: 0 });
