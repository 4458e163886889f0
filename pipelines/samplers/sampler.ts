import type { ModelSigmas } from '../sampling/model-sigmas.ts';

/**
 * The model as a sampler sees it.
 *
 * For samplers of the sigma family (x, sigma) → denoised; for those of the timestep family
 * (x, timestep) → eps. x is not changed; the answer is a fresh f32 of the same length.
 */
export type Denoise = (x: Float32Array, level: number) => Promise<Float32Array>;

/** What a sampler tells after each finished step. */
export interface StepRecord {
  /** 0-based step. */
  i: number;
  /** Noise level the step started from. */
  sigma: number;
  /** The model's estimate of the clean latent during the step; f32, not reused. */
  denoised: Float32Array;
  /** Latent after the step; the sampler's own buffer, valid during the call only. */
  x: Float32Array;
}

/** UniPC's settings, as the web UI names them. */
export interface UniPcOptions {
  variant: 'bh1' | 'bh2' | 'vary_coeff';
  skipType: 'time_uniform' | 'time_quadratic' | 'logSNR';
  /** Order of the predictor, >= 1. */
  order: number;
  lowerOrderFinal: boolean;
}

/** Everything a sampler may use besides the model, the latent and the schedule. */
export interface SamplerContext {
  /** Next draw of unit normal numbers; f32, length of x. */
  noise(): Float32Array;
  /** Unit normal increment of the images' Brownian motions between two noise levels. */
  brownian(sigma: number, sigmaNext: number): Float32Array;
  /** Unguided (negative prompt's) answer to the latest call of denoise; f32, not reused. */
  uncond(): Float32Array;
  /** Share of ancestral noise; 0 makes the sampler deterministic. */
  eta: number;
  sChurn: number;
  sTmin: number;
  /** May be Infinity. */
  sTmax: number;
  sNoise: number;
  uniPc: UniPcOptions;
  /** Noise levels between which samplers without a schedule of their own step. */
  sigmaMin: number;
  sigmaMax: number;
  /** Steps asked for. */
  steps: number;
  /** Whether x holds a picture and not only noise. */
  isImg2Img: boolean;
  modelSigmas: ModelSigmas;
  /** Called after each step; what it throws (`Interrupted`) ends the sampler. */
  onStep(step: StepRecord): void | Promise<void>;
}

/**
 * A sampler: steps a latent down a schedule.
 *
 * @param denoise the model
 * @param x       latent at the schedule's first level; f32; not changed
 * @param sigmas  noise levels (or timesteps), high → low; length steps + 1
 * @param context see SamplerContext
 * @returns latent at the schedule's last level; fresh f32 of the same length
 */
export type Sampler = (
  denoise: Denoise,
  x: Float32Array,
  sigmas: Float32Array,
  context: SamplerContext,
) => Promise<Float32Array>;
