import type { ModelSigmas } from '../model-sigmas.ts';

/** What a scheduler may look at. */
export interface ScheduleInput {
  /** Steps asked for, >= 1. */
  n: number;
  /** Noise levels of the last and first step; both > 0. */
  sigmaMin: number;
  sigmaMax: number;
  model: ModelSigmas;
  /** Exponent of Karras (7) and Polyexponential (1). */
  rho: number;
  /** Whether the tables of SDXL apply instead of those of SD 1. */
  isXl: boolean;
  /** Parameters of the beta distribution; > 0. */
  betaAlpha: number;
  betaBeta: number;
}

/** A noise schedule: f32, high to low, as a rule n + 1 values of which the last is 0. */
export type Schedule = (input: ScheduleInput) => Float32Array;
