import { findScheduler, type SamplerEntry } from '../samplers/catalogue.ts';
import type { ModelSigmas } from './model-sigmas.ts';
import { discardsSigma } from './plan.ts';
import { SCHEDULES } from './schedulers/table.ts';

/** Range of the schedules before Karras' was corrected (option use_old_karras_scheduler_sigmas). */
const OLD_SIGMA_MIN = 0.1;
const OLD_SIGMA_MAX = 10;

/** Shape of the beta scheduler where nothing else is said. */
const DEFAULT_BETA = 0.6;

/** Options of a request that shape its schedule; 0 = the model's or scheduler's own value. */
export interface ScheduleOptions {
  sigmaMin?: number;
  sigmaMax?: number;
  rho?: number;
  alwaysDiscardNextToLastSigma?: boolean;
  useOldKarrasSigmas?: boolean;
  betaAlpha?: number;
  betaBeta?: number;
  /** Whether the tables made for SDXL apply. */
  isXl?: boolean;
}

/**
 * Returns the noise levels of a sampler with a scheduler.
 *
 * @param sampler   catalogue entry; decides what Automatic means and whether a level is dropped
 * @param scheduler name or label; unknown counts as Automatic
 * @param steps     integer >= 0; 0 gives [0]
 * @param model     the model's schedule
 * @param options   see ScheduleOptions
 * @returns f32, high → low, as a rule steps + 1 values of which the last is 0
 */
export function buildSigmas(
  sampler: SamplerEntry,
  scheduler: string,
  steps: number,
  model: ModelSigmas,
  options: ScheduleOptions = {},
): Float32Array {
  if (steps === 0) return new Float32Array(1);
  const asked = findScheduler(scheduler)?.name ?? 'automatic';
  const name = asked === 'automatic' ? (sampler.options.scheduler ?? 'automatic') : asked;
  const discards = discardsSigma(sampler, options);
  const { useOldKarrasSigmas = false, betaAlpha, betaBeta, isXl = false } = options;
  const sigmas = SCHEDULES[name]!({
    n: discards ? steps + 1 : steps,
    sigmaMin: options.sigmaMin || (useOldKarrasSigmas ? OLD_SIGMA_MIN : model.sigmaMin),
    sigmaMax: options.sigmaMax || (useOldKarrasSigmas ? OLD_SIGMA_MAX : model.sigmaMax),
    rho: options.rho || findScheduler(name)!.default_rho,
    model,
    isXl,
    betaAlpha: betaAlpha ?? DEFAULT_BETA,
    betaBeta: betaBeta ?? DEFAULT_BETA,
  });
  if (!discards) return sigmas;
  const last = sigmas.length - 1;
  return Float32Array.from([...sigmas.subarray(0, last - 1), sigmas[last]!]);
}
