import type { StepRecord, UniPcOptions } from '../samplers/sampler.ts';
import type { Estimates, Prediction } from './denoiser.ts';
import type { GuidanceOptions } from './guidance.ts';
import type { Latent } from './latents.ts';
import type { ModelSigmas } from './model-sigmas.ts';
import type { Network } from './network.ts';
import type { NoiseStream } from './noise.ts';
import type { ScheduleOptions } from './sigmas.ts';
import type { SoftBlend } from './soft-blend.ts';

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
  /** How the picture is kept outside it; default: cut. */
  soft?: SoftBlend | undefined;
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
  /** Called after each step, with the halves of the latest model call's answer. */
  onStep?: (step: StepRecord, estimates: Estimates) => void | Promise<void>;
  /** Asked before every model call; true ends the run. */
  shouldStop?: () => boolean;
}

/** What a run came to. */
export interface SampleResult {
  /** Clean latent; after an interruption what the prompt alone made of the latest model call, as in the web UI. */
  latent: Latent;
  /** Finished passes of the sampler's loop. */
  stepsExecuted: number;
  modelCalls: number;
  interrupted: boolean;
}
