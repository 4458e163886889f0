import { findSampler } from '../samplers/catalogue.ts';
import { createModelSigmas, thinModelSigmas } from './model-sigmas.ts';
import type { PlanInput, StepPlan } from './plan.ts';
import { buildSigmas } from './sigmas.ts';

/**
 * Returns the noise levels that a plan steps along, for a model trained as SD 1.x was.
 *
 * @param input what was asked
 * @param plan  the plan of it
 * @returns f32, high → low; empty for timestep samplers, whose plan lists timesteps
 */
export function levelsOfPlan(input: PlanInput, plan: StepPlan): Float32Array {
  const entry = findSampler(input.sampler);
  if (entry === null || entry.family === 'timestep') return new Float32Array();
  const whole = createModelSigmas();
  const model = entry.gridStride ? thinModelSigmas(whole, entry.gridStride) : whole;
  const { alwaysDiscardNextToLastSigma = false } = input;
  const schedule = buildSigmas(entry, input.scheduler ?? '', plan.scheduleSteps, model, {
    alwaysDiscardNextToLastSigma,
  });
  return schedule.subarray(Math.min(plan.sliceStart, schedule.length - 1));
}

/**
 * Returns the noise level that a plan starts from, for a model trained as SD 1.x was: what a picture is
 * brought to, or that of the first step from noise alone.
 *
 * @param input what was asked
 * @param plan  the plan of it
 * @returns sigma = sqrt((1 - alpha) / alpha) of the timestep for timestep samplers; null where no step runs
 */
export function firstLevelOfPlan(input: PlanInput, plan: StepPlan): number | null {
  const timestep = plan.noiseTimestep ?? plan.timesteps[0];
  if (timestep === undefined) return levelsOfPlan(input, plan)[0] ?? null;
  const alpha = createModelSigmas().alphasCumprod[timestep] as number;
  return Math.sqrt((1 - alpha) / alpha);
}
