/** The plan of img2img against the web UI's formulas in Python, for every pair of steps and strength. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { planSteps, stepsThatExecute } from '../../../pipelines/sampling/plan.ts';
import records from '../../fixtures/img2img/plans.json' with { type: 'json' };

/** The line of one pair, as the recorded ones are written. */
function describePlan(sampler: string, steps: number, hundredths: number, fixed: boolean): string {
  const plan = planSteps({
    sampler,
    steps,
    denoisingStrength: hundredths / 100,
    exactSteps: fixed,
  });
  const { modelCalls, scheduleSteps, sliceStart, timesteps, noiseTimestep } = plan;
  const isTimestep = !['Euler', 'Heun'].includes(sampler);
  // The web UI fails there: its list of timesteps would be empty or have a stride of 0.
  if (isTimestep && (scheduleSteps === 0 || scheduleSteps > 1000)) return '-';
  const start = isTimestep
    ? `${noiseTimestep ?? 'None'} ${timesteps[0] ?? 'None'}`
    : `${scheduleSteps} ${sliceStart}`;
  return `${modelCalls} ${start}`;
}

describe.each(records)('$sampler, fixed steps $fixed', ({ sampler, fixed, sha256, samples }) => {
  it.each(samples)('%s', (sample) => {
    const [steps, hundredths] = sample.split(' ').map(Number) as [number, number];
    expect(`${steps} ${hundredths} ${describePlan(sampler, steps, hundredths, fixed)}`).toBe(
      sample,
    );
  });

  it('is the web UI’s for steps 1 to 150 and strengths 0.00 to 1.00', () => {
    const hash = createHash('sha256');
    for (let steps = 1; steps <= 150; steps++) {
      for (let hundredths = 0; hundredths <= 100; hundredths++) {
        hash.update(`${steps} ${hundredths} ${describePlan(sampler, steps, hundredths, fixed)}\n`);
      }
    }
    expect(hash.digest('hex')).toBe(sha256);
  });
});

describe('products just below an integer', () => {
  it.each([
    [50, 0.58, 28],
    [75, 0.84, 63],
    [90, 0.7, 62],
    [100, 0.29, 28],
    [100, 0.53, 53],
    [100, 0.57, 56],
    [100, 0.58, 57],
    [100, 0.59, 59],
    [150, 0.42, 63],
    [150, 0.78, 117],
    [150, 0.82, 122],
    [150, 0.84, 126],
  ])('%i steps at %f start at step %i from the end', (steps, denoisingStrength, start) => {
    const plan = planSteps({ sampler: 'Euler', steps, denoisingStrength });
    expect(plan.stepsExecuted).toBe(start + 1);
  });
});

describe('the plan the other way round', () => {
  it.each(['Euler', 'DDIM', 'PLMS', 'UniPC'])('finds the fewest steps of %s', (sampler) => {
    for (const denoisingStrength of [0.2, 0.35, 0.58, 1]) {
      for (let executed = 1; executed <= 20; executed++) {
        const asked = { sampler, denoisingStrength };
        const steps = stepsThatExecute(executed, asked);
        expect(steps, `${executed} at ${denoisingStrength}`).not.toBeNull();
        expect(planSteps({ ...asked, steps: steps! }).stepsExecuted).toBe(executed);
        for (let fewer = 1; fewer < steps!; fewer++)
          expect(planSteps({ ...asked, steps: fewer }).stepsExecuted).not.toBe(executed);
      }
    }
  });
});
