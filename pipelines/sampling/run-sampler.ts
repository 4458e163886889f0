import { findSampler, type SamplerEntry } from '../samplers/catalogue.ts';
import { withBoundary } from '../samplers/lcm.ts';
import { SAMPLER_FUNCTIONS } from '../samplers/registry.ts';
import type { SamplerContext, StepRecord, UniPcOptions } from '../samplers/sampler.ts';
import { createBrownianNoise } from './brownian.ts';
import {
  createSigmaDenoiser,
  createTimestepDenoiser,
  type Denoiser,
  type Prediction,
} from './denoiser.ts';
import type { GuidanceOptions } from './guidance.ts';
import { Interrupted } from './interrupted.ts';
import { combine, countValues, type Latent } from './latents.ts';
import { blend, blendAfter, blendBefore, type LatentMask } from './mask.ts';
import { type ModelSigmas, thinModelSigmas } from './model-sigmas.ts';
import { createGuidedNetwork, type GuidedNetwork, type Network } from './network.ts';
import type { NoiseStream } from './noise.ts';
import { planSteps, type StepPlan } from './plan.ts';
import { buildSigmas, type ScheduleOptions } from './sigmas.ts';

/** Options of a request that reach samplers and schedules; names as in `JobOptions`. */
export interface SamplingOptions extends ScheduleOptions {
  /** Request's eta; null = etaAncestral or etaDdim. */
  eta?: number | null;
  etaAncestral?: number;
  etaDdim?: number;
  sChurn?: number;
  sTmin?: number;
  /** 0 = infinity. */
  sTmax?: number;
  sNoise?: number;
  /** Start from noise · √(1 + sigma²) instead of noise · sigma. */
  sgmNoiseMultiplier?: boolean;
  uniPc?: UniPcOptions;
}

/** A picture to start from instead of noise alone. */
export interface SampleInit {
  /** Clean latent; f32, shape of the noise. */
  latent: Latent;
  /** 0 … 1. */
  denoisingStrength: number;
  /** Whether `steps` is what runs; see PlanInput. */
  exactSteps?: boolean;
  /** Factor on the first noise; default 1. */
  noiseMultiplier?: number;
  /** More noise on top, img2img_extra_noise; default 0. */
  extraNoise?: number;
  /** What to repaint, f32 [1 or batch, 1, height, width], 1 = repaint. */
  mask?: Latent;
}

/** One sampling run: a batch of latents of equal size. */
export interface SampleRequest {
  /** Display name. */
  sampler: string;
  /** Label or name; Automatic = the sampler's own. */
  scheduler: string;
  /** Integer >= 1. */
  steps: number;
  options: SamplingOptions;
  guidance: GuidanceOptions;
  modelSigmas: ModelSigmas;
  prediction: Prediction;
  network: Network;
  /** At its first draw; its shape is the latent's. */
  noise: NoiseStream;
  init?: SampleInit;
  onStep?: (step: StepRecord) => void | Promise<void>;
  /** Asked before every model call; true ends the run. */
  shouldStop?: () => boolean;
}

/** What a run came to. */
export interface SampleResult {
  /** Clean latent; after an interruption the model's last estimate of it. */
  latent: Latent;
  /** Finished passes of the sampler's loop. */
  stepsExecuted: number;
  modelCalls: number;
  interrupted: boolean;
}

const DEFAULT_UNI_PC: UniPcOptions = {
  variant: 'bh1',
  skipType: 'time_uniform',
  order: 3,
  lowerOrderFinal: true,
};

/**
 * Makes a latent from noise, or from a picture's latent and noise.
 *
 * @param request see SampleRequest
 * @returns see SampleResult
 * @throws RangeError for an unknown sampler, and whatever network and onStep throw
 */
export async function sample(request: SampleRequest): Promise<SampleResult> {
  const { noise, init, guidance } = request;
  const entry = findSampler(request.sampler);
  const sampler = SAMPLER_FUNCTIONS[entry?.name ?? ''];
  if (!entry || !sampler) {
    throw new RangeError(`Expected a sampler but received ${request.sampler}.`);
  }
  const plan = planSteps({
    ...request,
    denoisingStrength: init?.denoisingStrength ?? null,
    exactSteps: init?.exactSteps ?? false,
    alwaysDiscardNextToLastSigma: request.options.alwaysDiscardNextToLastSigma ?? false,
  });
  const network = createGuidedNetwork({
    network: request.network,
    shape: noise.shape,
    guidance: { ...guidance, cfgScale: guidance.cfgScale * (entry.cfgFactor ?? 1) },
    totalCalls: plan.totalCalls,
    keepsUncond: entry.keepsUncond ?? false,
    ...(request.shouldStop && { shouldStop: request.shouldStop }),
  });
  const run = entry.family === 'timestep' ? startTimesteps : startSigmas;
  const { x, levels, denoiser, brownian } = run(request, entry, plan, network);

  let reached = init ? init.latent.data.slice() : x;
  let stepsExecuted = 0;
  const context = createContext(request, entry, levels, {
    brownian,
    uncond: denoiser.uncond,
    async onStep(step) {
      reached = step.denoised;
      network.step = ++stepsExecuted;
      await request.onStep?.(step);
    },
  });
  let interrupted = false;
  try {
    reached = await sampler(denoiser.denoise, x, levels, context);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    interrupted = true;
  }
  const mask = latentMask(init);
  const latent: Latent = {
    data: mask ? blend(reached, mask) : reached,
    shape: noise.shape,
  };
  return { latent, stepsExecuted, modelCalls: network.calls, interrupted };
}

/** Where a run starts and what it steps along. */
interface Start {
  /** Latent at levels[0]; f32. */
  x: Float32Array;
  /** Noise levels or timesteps, high → low. */
  levels: Float32Array;
  denoiser: Denoiser;
  brownian(sigma: number, sigmaNext: number): Float32Array;
}

function startSigmas(
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
  const { denoise: plain, uncond } = createSigmaDenoiser(network, modelSigmas, request.prediction);
  const denoise = entry.gridStride ? withBoundary(plain, modelSigmas) : plain;
  const mask = latentMask(init);
  const positive = schedule.filter((level) => level > 0);
  let brownian: Start['brownian'] | null = null;
  return {
    x,
    levels,
    denoiser: { denoise: mask ? blendAfter(denoise, mask) : denoise, uncond },
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

function startTimesteps(
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
  const { denoise, uncond } = createTimestepDenoiser(network, modelSigmas, request.prediction);
  const mask = latentMask(init);
  return {
    x,
    levels: Float32Array.from(plan.timesteps),
    denoiser: { denoise: mask ? blendBefore(denoise, mask) : denoise, uncond },
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

function latentMask(init: SampleInit | undefined): LatentMask | null {
  return init?.mask ? { mask: init.mask, init: init.latent } : null;
}

/** The context of a run: options that the sampler does not take are at their neutral values. */
function createContext(
  request: SampleRequest,
  entry: SamplerEntry,
  levels: Float32Array,
  run: Pick<SamplerContext, 'brownian' | 'uncond' | 'onStep'>,
): SamplerContext {
  const { options, modelSigmas, init } = request;
  const takes = (option: SamplerEntry['takes'][number]) => entry.takes.includes(option);
  const churns = takes('churn');
  const defaultEta =
    entry.defaultEta ??
    (entry.family === 'timestep' ? (options.etaDdim ?? 0) : (options.etaAncestral ?? 1));
  return {
    ...run,
    noise: () => request.noise.next(),
    eta: takes('eta') ? (options.eta ?? defaultEta) : 0,
    sChurn: churns ? (options.sChurn ?? 0) : 0,
    sTmin: churns ? (options.sTmin ?? 0) : 0,
    sTmax: (churns && options.sTmax) || Number.POSITIVE_INFINITY,
    sNoise: churns || takes('noise') ? (options.sNoise ?? 1) : 1,
    uniPc: options.uniPc ?? DEFAULT_UNI_PC,
    sigmaMin: init ? levels[levels.length - 2]! : modelSigmas.sigmaMin,
    sigmaMax: init ? levels[0]! : modelSigmas.sigmaMax,
    steps: init ? levels.length - 1 : request.steps,
    isImg2Img: init !== undefined,
    modelSigmas,
  };
}
