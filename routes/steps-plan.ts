/** `GET /sdapi/v1/steps-plan`: how many steps a request will run, before it runs. */
import { Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { MAX_STEPS } from '../openapi/schemas/bounds.ts';
import { StepsPlanQuery } from '../openapi/schemas/steps-plan.ts';
import { findScheduler, resolveSampler } from '../pipelines/samplers/catalogue.ts';
import { type PlanInput, planSteps, stepsThatExecute } from '../pipelines/sampling/plan.ts';
import { firstLevelOfPlan, levelsOfPlan } from '../pipelines/sampling/plan-levels.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';

/** Makes the router of the plan. */
export function stepsPlanRoutes({ options }: Context): Router {
  const router = Router();
  router.get('/sdapi/v1/steps-plan', (req, res) => {
    const query = parseRequest(StepsPlanQuery, { ...req.query }, 'query');
    const { img2img_fix_steps, always_discard_next_to_last_sigma } = options.all();
    const resolved = resolveSampler(query.sampler, query.scheduler);
    if (resolved === null) throw new HttpError('SAMPLER_NOT_FOUND', 'Sampler not found');
    if (findScheduler(query.scheduler) === null)
      throw new HttpError('SCHEDULER_NOT_FOUND', 'Scheduler not found');
    const asked = {
      ...resolved,
      denoisingStrength: query.denoising_strength ?? null,
      exactSteps: query.fix_steps ?? img2img_fix_steps,
      alwaysDiscardNextToLastSigma: always_discard_next_to_last_sigma,
    };
    const steps = query.steps ?? findSteps(query.executed, asked);
    const input = { ...asked, steps };
    const plan = planSteps(input);
    const sigmas = [...levelsOfPlan(input, plan)];
    res.json({
      ...resolved,
      steps,
      denoising_strength: asked.denoisingStrength,
      fix_steps: asked.exactSteps,
      steps_executed: plan.stepsExecuted,
      model_calls: plan.modelCalls,
      announced_steps: plan.announcedSteps,
      schedule_steps: plan.scheduleSteps,
      slice_start: plan.sliceStart,
      sigmas,
      first_sigma: firstLevelOfPlan(input, plan),
      timesteps: plan.timesteps,
      noise_timestep: plan.noiseTimestep,
    });
  });
  return router;
}

/** The `steps` that execute as many as are wanted. */
function findSteps(executed: number | undefined, asked: Omit<PlanInput, 'steps'>): number {
  if (executed === undefined)
    throw new HttpError('BAD_REQUEST', 'Expected steps or executed but received neither.');
  const steps = stepsThatExecute(executed, asked);
  if (steps !== null && steps <= MAX_STEPS) return steps;
  throw new HttpError(
    'LIMIT_EXCEEDED',
    `No steps from 1 to ${MAX_STEPS} execute ${executed} of ${asked.sampler} at ` +
      `${asked.denoisingStrength ?? 1}${steps === null ? '' : `: it would take ${steps}`}.`,
  );
}
