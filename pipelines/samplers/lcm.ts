import { combine } from '../sampling/latents.ts';
import type { ModelSigmas } from '../sampling/model-sigmas.ts';
import { nearestIndex } from '../sampling/model-sigmas.ts';
import type { Denoise, Sampler } from './sampler.ts';

/** Deviation of the data and factor on timesteps that latent consistency models are trained with. */
const SIGMA_DATA = 0.5;
const TIMESTEP_SCALING = 10;

/**
 * Steps a latent down the schedule by jumping to the clean latent and noising it again.
 *
 * Luo et al. 2023, "Latent Consistency Models", algorithm 2.
 */
export const lcm: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    if (sigmaNext > 0) combine(x, [1, denoised], [sigmaNext, context.noise()]);
    else x.set(denoised);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};

/**
 * Returns a model with the boundary condition of consistency models: at low noise the answer bends
 * towards the input.
 *
 * @param denoise     the model
 * @param modelSigmas the grid it was distilled on
 */
export function withBoundary(denoise: Denoise, modelSigmas: ModelSigmas): Denoise {
  return async (x, sigma) => {
    const denoised = await denoise(x, sigma);
    const timestep = modelSigmas.stride * (nearestIndex(modelSigmas, sigma) + 1) - 1;
    const scaled = TIMESTEP_SCALING * timestep;
    const norm = scaled ** 2 + SIGMA_DATA ** 2;
    return combine(denoised, [SIGMA_DATA ** 2 / norm, x], [scaled / Math.sqrt(norm), denoised]);
  };
}
