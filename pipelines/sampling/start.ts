import type { SamplerEntry } from '../samplers/catalogue.ts';
import { withBoundary } from '../samplers/lcm.ts';
import { createBrownianNoise } from './brownian.ts';
import {
  createSigmaDenoiser,
  createTimestepDenoiser,
  type Denoiser,
  type Estimates,
} from './denoiser.ts';
import { combine, countValues } from './latents.ts';
import { blendAfter, blendBefore, type LatentMask } from './mask.ts';
import { thinModelSigmas } from './model-sigmas.ts';
import type { GuidedNetwork } from './network.ts';
import type { StepPlan } from './plan.ts';
import type { SampleInit, SampleRequest } from './sample-request.ts';
import { buildSigmas } from './sigmas.ts';

/** Where a run starts and what it steps along. */
export interface Start {
  /** Latent at levels[0]; f32. */
  x: Float32Array;
  /** Noise levels or timesteps, high → low. */
  levels: Float32Array;
  denoiser: Pick<Denoiser, 'denoise' | 'uncond'>;
  /** See Denoiser. */
  estimates(): Estimates | null;
  brownian(sigma: number, sigmaNext: number): Float32Array;
}

/**
 * Returns the start of a sigma-family sampler: noise, or a picture with noise, at the first level.
 *
 * @param request the run; its noise is drawn from once
 * @param entry   the sampler
 * @param plan    its plan
 * @param network guided network
 */
export function startSigmas(
  request: SampleRequest,
  entry: SamplerEntry,
  plan: StepPlan,
  network: GuidedNetwork,
): Start {
  const { noise, init, options } = request;
  const modelSigmas = entry.gridStride
    ? thinModelSigmas(request.modelSigmas, entry.gridStride)
    : request.modelSigmas;
  const schedule = buildSigmas(entry, request.scheduler, plan.scheduleSteps, modelSigmas, options);
  // A schedule may be shorter than planned for (DDIM on LCM's grid); then only its end is left.
  const levels = schedule.subarray(Math.min(plan.sliceStart, schedule.length - 1));
  const sigma = levels[0]!;
  const first = noise.next();
  const x = init
    ? addNoise(first, init, 1, sigma, 1)
    : combine(first, [options.sgmNoiseMultiplier ? Math.hypot(1, sigma) : sigma, first]);
  const model = createSigmaDenoiser(network, modelSigmas, request.prediction);
  const denoise = entry.gridStride ? withBoundary(model.denoise, modelSigmas) : model.denoise;
  const mask = latentMask(init);
  const positive = schedule.filter((level) => level > 0);
  let brownian: Start['brownian'] | null = null;
  return {
    x,
    levels,
    denoiser: { denoise: mask ? blendAfter(denoise, mask) : denoise, uncond: model.uncond },
    estimates: () => model.estimates,
    brownian(from, to) {
      // Made on the first use: most samplers have none.
      brownian ??= createBrownianNoise(
        noise.source,
        noise.seeds,
        countValues(noise.shape.slice(1)),
        Math.min(...positive),
        Math.max(...positive),
      );
      return brownian(from, to);
    },
  };
}

/**
 * Returns the start of a timestep-family sampler.
 *
 * @param request the run; its noise is drawn from once
 * @param _entry  the sampler
 * @param plan    its plan
 * @param network guided network
 */
export function startTimesteps(
  request: SampleRequest,
  _entry: SamplerEntry,
  plan: StepPlan,
  network: GuidedNetwork,
): Start {
  const { noise, init, modelSigmas } = request;
  const { noiseTimestep } = plan;
  const alpha = noiseTimestep === null ? 1 : modelSigmas.alphasCumprod[noiseTimestep]!;
  const first = noise.next();
  const x = init
    ? addNoise(first, init, Math.sqrt(alpha), Math.sqrt(1 - alpha), Math.sqrt(alpha))
    : first;
  const model = createTimestepDenoiser(network, modelSigmas, request.prediction);
  const { denoise, uncond } = model;
  const mask = latentMask(init);
  return {
    x,
    levels: Float32Array.from(plan.timesteps),
    denoiser: { denoise: mask ? blendBefore(denoise, mask) : denoise, uncond },
    estimates: () => model.estimates,
    brownian: () => {
      throw new RangeError('Timestep samplers have no Brownian noise.');
    },
  };
}

/** Init latent at a noise level; `extra` scales img2img_extra_noise. Overwrites noise. */
function addNoise(
  noise: Float32Array,
  init: SampleInit,
  signal: number,
  spread: number,
  extra: number,
): Float32Array {
  const total = (init.noiseMultiplier ?? 1) * (spread + (init.extraNoise ?? 0) * extra);
  return combine(noise, [signal, init.latent.data], [total, noise]);
}

/** What is kept of a picture, if anything. */
export function latentMask(init: SampleInit | undefined): LatentMask | null {
  return init?.mask ? { mask: init.mask, init: init.latent, soft: init.soft } : null;
}
