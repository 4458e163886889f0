import { combine } from '../sampling/latents.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down a list of timesteps with DDIM; the last timestep is reached, not evaluated.
 *
 * Song et al. 2021, equations 12 and 16.
 */
export const ddim: Sampler = (predict, start, timesteps, context) =>
  stepDown(predict, start, timesteps, context, (eps) => eps);

/**
 * DDIM in CFG++: from the guided estimate of the clean latent, along the unguided noise.
 *
 * Chung et al. 2024, "CFG++", algorithm 2.
 */
export const ddimCfgPp: Sampler = (predict, start, timesteps, context) =>
  stepDown(predict, start, timesteps, context, context.uncond);

async function stepDown(
  ...[predict, start, timesteps, context, pickDirection]: [
    ...Parameters<Sampler>,
    pickDirection: (eps: Float32Array) => Float32Array,
  ]
): Promise<Float32Array> {
  const x = start.slice();
  const alphas = context.modelSigmas.alphasCumprod;
  for (let i = 0; i < timesteps.length - 1; i++) {
    const alpha = alphas[timesteps[i]!]!;
    const alphaNext = alphas[timesteps[i + 1]!]!;
    const eps = await predict(x, timesteps[i]!);
    const sigma =
      context.eta * Math.sqrt(((1 - alphaNext) / (1 - alpha)) * (1 - alpha / alphaNext));
    const denoised = estimateClean(x, eps, alpha);
    const direction = Math.sqrt(Math.max(1 - alphaNext - sigma ** 2, 0));
    combine(x, [Math.sqrt(alphaNext), denoised], [direction, pickDirection(eps)]);
    if (sigma > 0) combine(x, [1, x], [sigma, context.noise()]);
    await context.onStep({ i, sigma: Math.sqrt((1 - alpha) / alpha), denoised, x });
  }
  return x;
}

/**
 * Returns the clean latent that a noise prediction implies.
 *
 * @param x     f32, √ᾱ · clean + √(1 − ᾱ) · eps; not changed
 * @param eps   predicted noise
 * @param alpha ᾱ of the level, 0 < ᾱ <= 1
 * @returns fresh f32
 */
export function estimateClean(x: Float32Array, eps: Float32Array, alpha: number): Float32Array {
  return combine(
    new Float32Array(x.length),
    [1 / Math.sqrt(alpha), x],
    [-Math.sqrt(1 - alpha) / Math.sqrt(alpha), eps],
  );
}
