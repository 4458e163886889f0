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
