import { alignYourSteps, alignYourSteps32, alignYourStepsGits } from './align-your-steps.ts';
import { beta } from './beta.ts';
import { ddimSchedule } from './ddim.ts';
import { exponential, polyexponential } from './exponential.ts';
import { karras } from './karras.ts';
import { klOptimal } from './kl-optimal.ts';
import { normal } from './normal.ts';
import type { Schedule } from './schedule.ts';
import { sgmUniform } from './sgm-uniform.ts';
import { simple } from './simple.ts';
import { turbo } from './turbo.ts';
import { uniform } from './uniform.ts';

/** Scheduler name, as in `samplers/catalogue`, → function. `automatic` is the model's own. */
export const SCHEDULES: Readonly<Record<string, Schedule>> = {
  automatic: uniform,
  uniform,
  karras,
  exponential,
  polyexponential,
  sgm_uniform: sgmUniform,
  kl_optimal: klOptimal,
  align_your_steps: alignYourSteps,
  simple,
  normal,
  ddim: ddimSchedule,
  beta,
  turbo,
  align_your_steps_GITS: alignYourStepsGits,
  align_your_steps_11: alignYourSteps,
  align_your_steps_32: alignYourSteps32,
};
