import { findSampler, findScheduler, type SamplerEntry } from '../samplers/catalogue.ts';

/** Length of the training schedule. */
const TRAIN_TIMESTEPS = 1000;

/** Restart rebuilds schedules of this many steps, ending at 0 whatever the scheduler. */
const RESTART_STEPS = 20;

/** img2img never runs the whole schedule: strength is capped below 1. */
const MAX_STRENGTH = 0.999;

/** Longest search of `stepsThatExecute`; twice the most steps a request may ask for. */
const MAX_SEARCHED_STEPS = 300;

/** What decides how many steps run. */
export interface PlanInput {
  /** Display name. */
  sampler: string;
  /** Scheduler label or name; decides the length of the schedule. Default Automatic. */
  scheduler?: string;
  /** Steps asked for, integer >= 1. */
  steps: number;
  /** img2img and hires: 0 … 1; null = from noise alone. */
  denoisingStrength?: number | null;
  /** Whether `steps` is what runs (hires pass, option img2img_fix_steps) or what strength divides. */
  exactSteps?: boolean;
  /** Option always_discard_next_to_last_sigma. */
  alwaysDiscardNextToLastSigma?: boolean;
}

/** What will run. */
export interface StepPlan {
  /** Steps the schedule is built for. */
  scheduleSteps: number;
  /** First entry of the schedule that is used; sigma family. */
  sliceStart: number;
  /** Timesteps, high → low, of which the sampler reaches the last; timestep family, else empty. */
  timesteps: number[];
  /** Timestep an init latent is noised to; timestep family with denoisingStrength, else null. */
  noiseTimestep: number | null;
  /** Steps the web UI's progress announces. */
  announcedSteps: number;
  /**
   * Passes of the sampler's loop; null where the sampler decides (DPM adaptive). Restart runs fewer
   * where a picture's noise starts below its loop, which only the schedule can tell.
   */
  stepsExecuted: number | null;
  /** Model calls; null where the sampler decides. */
  modelCalls: number | null;
  /** Calls that prompt editing and refiner count on: twice the steps for second-order samplers. */
  totalCalls: number;
}

/**
 * Returns how a request's steps turn into executed ones, as the web UI computes it.
 *
 * All arithmetic is in double precision: products just below an integer truncate.
 *
 * @param input see PlanInput
 * @returns see StepPlan
 * @throws RangeError for a sampler that does not exist
 */
export function planSteps(input: PlanInput): StepPlan {
  const entry = findSampler(input.sampler);
  if (entry === null) throw new RangeError(`Expected a sampler but received ${input.sampler}.`);
  const { scheduleSteps, startStep } = divideSteps(input);
  const announcedSteps = startStep === null ? scheduleSteps : startStep + 1;
  const totalCalls = announcedSteps * ('second_order' in entry.options ? 2 : 1);
  const plan = { scheduleSteps, announcedSteps, totalCalls };
  return entry.family === 'timestep'
    ? { ...plan, ...planTimesteps(entry, input, scheduleSteps, startStep) }
    : { ...plan, ...planSigmas(entry, input, scheduleSteps, startStep) };
}

/** Steps of the schedule, and the one (counted from the end) img2img starts at. */
function divideSteps(input: PlanInput): { scheduleSteps: number; startStep: number | null } {
  const { steps, denoisingStrength: strength, exactSteps = false } = input;
  if (strength === null || strength === undefined) return { scheduleSteps: steps, startStep: null };
  const capped = Math.min(strength, MAX_STRENGTH);
  if (!exactSteps) return { scheduleSteps: steps, startStep: Math.trunc(capped * steps) };
  return { scheduleSteps: strength > 0 ? Math.trunc(steps / capped) : 0, startStep: steps - 1 };
}

type FamilyPlan = Pick<
  StepPlan,
  'sliceStart' | 'timesteps' | 'noiseTimestep' | 'stepsExecuted' | 'modelCalls'
>;

function planSigmas(
  entry: SamplerEntry,
  input: PlanInput,
  scheduleSteps: number,
  startStep: number | null,
): FamilyPlan {
  const sliceStart = startStep === null ? 0 : Math.max(scheduleSteps - startStep - 1, 0);
  const all = scheduleSteps === 0 ? 0 : countSchedule(entry, input, scheduleSteps);
  const built = Math.max(all - sliceStart, 0);
  // From noise alone DPM fast looks at the steps asked for, not at the schedule.
  const n = entry.calls === 'exact' && startStep === null ? input.steps : built;
  const isRebuilt = entry.name === 'Restart' && n >= RESTART_STEPS;
  const endsAtZero = isRebuilt || !isScheduler(entry, input, 'kl_optimal');
  return {
    sliceStart,
    timesteps: [],
    noiseTimestep: null,
    ...countCalls(entry, n, endsAtZero),
  };
}

/** Steps of the schedule a scheduler makes: n, but for DDIM where n does not divide the grid. */
function countSchedule(entry: SamplerEntry, input: PlanInput, n: number): number {
  if (!isScheduler(entry, input, 'ddim')) return n;
  const discards = discardsSigma(entry, input) ? 1 : 0;
  const gridLength = TRAIN_TIMESTEPS / (entry.gridStride ?? 1);
  const stride = Math.max(Math.trunc(gridLength / (n + discards)), 1);
  return Math.ceil((gridLength - 1) / stride) - discards;
}

function isScheduler(entry: SamplerEntry, input: PlanInput, name: string): boolean {
  const asked = findScheduler(input.scheduler)?.name ?? 'automatic';
  return (asked === 'automatic' ? entry.options.scheduler : asked) === name;
}

/**
 * Returns whether the schedule is built one step longer and its next-to-last level dropped.
 *
 * @param entry the sampler
 * @param input the option that asks for it always
 */
export function discardsSigma(
  entry: SamplerEntry,
  input: Pick<PlanInput, 'alwaysDiscardNextToLastSigma'>,
): boolean {
  return 'discard_next_to_last_sigma' in entry.options || !!input.alwaysDiscardNextToLastSigma;
}

function countCalls(
  entry: SamplerEntry,
  n: number,
  endsAtZero: boolean,
): Pick<StepPlan, 'stepsExecuted' | 'modelCalls'> {
  switch (entry.calls) {
    case 'adaptive':
      return { stepsExecuted: null, modelCalls: null };
    case 'exact':
      return { stepsExecuted: n === 0 ? 0 : Math.trunc(n / 3) + 1, modelCalls: n };
    case 'once':
      return { stepsExecuted: n, modelCalls: n };
    case 'twice':
      return { stepsExecuted: n, modelCalls: 2 * n - (endsAtZero && n > 0 ? 1 : 0) };
    case 'thrice':
      return { stepsExecuted: n, modelCalls: Math.max(3 * n - 3, n) };
  }
}

function planTimesteps(
  entry: SamplerEntry,
  input: PlanInput,
  scheduleSteps: number,
  startStep: number | null,
): FamilyPlan {
  const all = scheduleSteps === 0 ? [] : listTimesteps(entry, input, scheduleSteps);
  const used = startStep === null ? all : all.slice(0, startStep);
  return {
    sliceStart: 0,
    timesteps: used.toReversed(),
    noiseTimestep: startStep === null ? null : (all[startStep] ?? null),
    ...countTimestepCalls(entry, used.length),
  };
}

/** Rising timesteps 1, 1 + s, 1 + 2s …; more than n where n does not divide 1000. */
function listTimesteps(entry: SamplerEntry, input: PlanInput, n: number): number[] {
  const stride = Math.max(
    Math.trunc(TRAIN_TIMESTEPS / (discardsSigma(entry, input) ? n + 1 : n)),
    1,
  );
  return Array.from({ length: Math.ceil(TRAIN_TIMESTEPS / stride) }, (_, i) =>
    Math.min(i * stride + 1, TRAIN_TIMESTEPS - 1),
  );
}

/** DDIM never evaluates the lowest timestep; PLMS evaluates once more in its first step. */
function countTimestepCalls(
  entry: SamplerEntry,
  length: number,
): Pick<StepPlan, 'stepsExecuted' | 'modelCalls'> {
  if (entry.calls === 'exact') return { stepsExecuted: length, modelCalls: length };
  const stepsExecuted = Math.max(length - 1, 0);
  const extra = entry.name === 'PLMS' && stepsExecuted > 0 ? 1 : 0;
  return { stepsExecuted, modelCalls: stepsExecuted + extra };
}

/**
 * Returns the smallest `steps` that execute a given number of steps.
 *
 * @param executed wanted passes of the sampler's loop
 * @param input    everything else
 * @returns null where no `steps` up to 300 does
 */
export function stepsThatExecute(executed: number, input: Omit<PlanInput, 'steps'>): number | null {
  for (let steps = 1; steps <= MAX_SEARCHED_STEPS; steps++) {
    if (planSteps({ ...input, steps }).stepsExecuted === executed) return steps;
  }
  return null;
}
