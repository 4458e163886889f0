import { combine, type Term } from '../sampling/latents.ts';
import { sigmaToTimestep, timestepToSigma } from '../sampling/model-sigmas.ts';
import type { Sampler } from './sampler.ts';

/** Forgives rounding where a timestep is an integer in exact arithmetic. */
const FLOOR_MARGIN = 1e-3;

/**
 * Steps a latent down the schedule with trajectory consistency: to below each level, the share eta
 * (the paper's gamma) of the timesteps deeper, and back up to it with fresh noise.
 *
 * Zheng et al. 2024, "Trajectory Consistency Distillation", algorithm 4, as in diffusers, in
 * variance-exploding form. The last step ends at timestep 0.
 */
export const tcd: Sampler = async (denoise, start, sigmas, context) => {
  const { eta, modelSigmas } = context;
  const x = start.slice();
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    const isLast = sigmaNext === 0;
    let down = sigmaNext;
    if (isLast) {
      down = timestepToSigma(modelSigmas, 0);
    } else if (eta > 0) {
      const timestep = (1 - eta) * sigmaToTimestep(modelSigmas, sigmaNext);
      const below = timestepToSigma(modelSigmas, Math.floor(timestep + FLOOR_MARGIN));
      down = Math.min(below, sigmaNext);
    }
    // At timestep 0 the latent leaves the variance-exploding frame.
    const scale = isLast ? 1 / Math.sqrt(1 + down ** 2) : 1;
    const keep = (scale * down) / sigma;
    const terms: Term[] = [
      [keep, x],
      [scale - keep, denoised],
    ];
    if (eta > 0 && !isLast) {
      terms.push([Math.sqrt(sigmaNext ** 2 - down ** 2), context.noise()]);
    }
    combine(x, ...terms);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};
