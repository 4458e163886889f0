import type { Denoise } from '../samplers/sampler.ts';
import { combine } from './latents.ts';
import { type ModelSigmas, sigmaToTimestep } from './model-sigmas.ts';
import type { GuidedNetwork } from './network.ts';

/** What the network predicts: the noise, or the velocity of Salimans & Ho 2022. */
export type Prediction = 'eps' | 'v';

/** Clean latents as a prompt and a negative prompt alone would have them; f32. */
export interface Estimates {
  cond: Float32Array;
  uncond: Float32Array;
}

/** A model for a sampler, and the unguided halves of its latest answer. */
export interface Denoiser {
  denoise: Denoise;
  /** Answer to the latest call with the negative prompt alone; fresh f32. */
  uncond(): Float32Array;
  /** What both halves of the latest call's answer come to; null before the first call. */
  readonly estimates: Estimates | null;
}

/**
 * Returns the model as (x, sigma) → denoised.
 *
 * x is variance exploding: clean + sigma · noise. eps: x − sigma · eps. v: c_skip · x + c_out · v
 * with c_skip = 1/(sigma² + 1), c_out = −sigma/√(sigma² + 1). Input scale 1/√(sigma² + 1).
 *
 * @param network     guided network
 * @param modelSigmas the model's schedule
 * @param prediction  what the network predicts
 */
export function createSigmaDenoiser(
  network: GuidedNetwork,
  modelSigmas: ModelSigmas,
  prediction: Prediction,
): Denoiser {
  let estimates: Estimates | null = null;
  return {
    async denoise(x, sigma) {
      const scale = 1 / Math.sqrt(sigma * sigma + 1);
      const skip = prediction === 'v' ? scale * scale : 1;
      const factor = prediction === 'v' ? -sigma * scale : -sigma;
      const convert = (predicted: Float32Array) =>
        combine(predicted, [skip, x], [factor, predicted]);
      const timestep = sigmaToTimestep(modelSigmas, sigma);
      const guided = await network.predict(x, { scale, timestep, sigma, level: sigma });
      // At once: x is the sampler's own and moves on.
      estimates = { cond: convert(network.cond()), uncond: convert(network.uncond()) };
      return convert(guided);
    },
    uncond: () => (estimates as Estimates).uncond,
    get estimates() {
      return estimates;
    },
  };
}

/**
 * Returns the model as (x, timestep) → eps.
 *
 * x is variance preserving: √ᾱ · clean + √(1 − ᾱ) · noise. v: eps = √ᾱ · v + √(1 − ᾱ) · x.
 *
 * @param network     guided network
 * @param modelSigmas the model's schedule
 * @param prediction  what the network predicts
 */
export function createTimestepDenoiser(
  network: GuidedNetwork,
  modelSigmas: ModelSigmas,
  prediction: Prediction,
): Denoiser {
  let convert: (predicted: Float32Array) => Float32Array = (predicted) => predicted;
  let estimates: Estimates | null = null;
  return {
    async denoise(x, timestep) {
      const alpha = modelSigmas.alphasCumprod[Math.trunc(timestep)]!;
      const signal = Math.sqrt(alpha);
      const spread = Math.sqrt(1 - alpha);
      convert = (predicted) =>
        prediction === 'v' ? combine(predicted, [signal, predicted], [spread, x]) : predicted;
      const sigma = spread / signal;
      const guided = await network.predict(x, { scale: 1, timestep, sigma, level: timestep });
      const clean = (predicted: Float32Array) => {
        const eps = convert(predicted);
        return combine(eps, [1 / signal, x], [-sigma, eps]);
      };
      estimates = { cond: clean(network.cond()), uncond: clean(network.uncond()) };
      return convert(guided);
    },
    uncond: () => convert(network.uncond()),
    get estimates() {
      return estimates;
    },
  };
}
