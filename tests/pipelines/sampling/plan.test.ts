import { describe, expect, test } from 'vitest';
import { planSteps, stepsThatExecute } from '../../../pipelines/sampling/plan.ts';

/** The web UI's table: denoising strengths, then for each step count the steps that run. */
const STRENGTHS = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1];
const EULER_STEPS: Record<number, number[]> = {
  10: [3, 4, 5, 6, 7, 8, 8, 9, 10, 10],
  15: [4, 5, 7, 8, 10, 11, 12, 13, 14, 15],
  20: [5, 7, 9, 11, 13, 15, 16, 17, 19, 20],
  25: [6, 8, 11, 13, 16, 18, 19, 21, 23, 25],
  28: [6, 9, 12, 15, 17, 20, 22, 23, 26, 28],
  30: [7, 10, 13, 16, 19, 22, 23, 25, 28, 30],
  35: [8, 11, 15, 18, 22, 25, 27, 29, 32, 35],
  40: [9, 13, 17, 21, 25, 29, 31, 33, 37, 40],
  50: [11, 16, 21, 26, 31, 36, 38, 41, 46, 50],
  60: [13, 19, 25, 31, 37, 43, 46, 49, 55, 60],
};

/** Exact steps: [length of the schedule, first level used]. */
const EXACT: Record<number, [number, number][]> = {
  10: [
    [50, 40],
    [33, 23],
    [25, 15],
    [20, 10],
    [16, 6],
    [14, 4],
    [13, 3],
    [12, 2],
    [11, 1],
    [10, 0],
  ],
  20: [
    [100, 80],
    [66, 46],
    [50, 30],
    [40, 20],
    [33, 13],
    [28, 8],
    [26, 6],
    [25, 5],
    [22, 2],
    [20, 0],
  ],
  30: [
    [150, 120],
    [100, 70],
    [75, 45],
    [60, 30],
    [50, 20],
    [42, 12],
    [40, 10],
    [37, 7],
    [33, 3],
    [30, 0],
  ],
  60: [
    [300, 240],
    [200, 140],
    [150, 90],
    [120, 60],
    [100, 40],
    [85, 25],
    [80, 20],
    [75, 15],
    [66, 6],
    [60, 0],
  ],
};

/** DDIM in img2img: evaluations and the timestep the picture is noised to. */
const DDIM_STEPS: Record<number, [number, number][]> = {
  10: [
    [1, 201],
    [2, 301],
    [3, 401],
    [4, 501],
    [5, 601],
    [6, 701],
    [6, 701],
    [7, 801],
    [8, 901],
    [8, 901],
  ],
  20: [
    [3, 201],
    [5, 301],
    [7, 401],
    [9, 501],
    [11, 601],
    [13, 701],
    [14, 751],
    [15, 801],
    [17, 901],
    [18, 951],
  ],
  30: [
    [5, 199],
    [8, 298],
    [11, 397],
    [14, 496],
    [17, 595],
    [20, 694],
    [21, 727],
    [23, 793],
    [26, 892],
    [28, 958],
  ],
  60: [
    [11, 193],
    [17, 289],
    [23, 385],
    [29, 481],
    [35, 577],
    [41, 673],
    [44, 721],
    [47, 769],
    [53, 865],
    [58, 945],
  ],
};

describe('img2img, sigma samplers', () => {
  test.each(Object.entries(EULER_STEPS))('%s steps', (steps, expected) => {
    const plans = STRENGTHS.map((denoisingStrength) =>
      planSteps({ sampler: 'Euler', steps: Number(steps), denoisingStrength }),
    );
    expect(plans.map((plan) => plan.stepsExecuted)).toEqual(expected);
    expect(plans.map((plan) => plan.sliceStart)).toEqual(expected.map((n) => Number(steps) - n));
    expect(plans.map((plan) => plan.announcedSteps)).toEqual(expected);
  });

  test.each([
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
  ])('%d × %d truncates in double precision to %d', (steps, denoisingStrength, startStep) => {
    const { stepsExecuted } = planSteps({ sampler: 'Euler', steps, denoisingStrength });
    expect(stepsExecuted).toBe(startStep + 1);
  });

  test.each(Object.entries(EXACT))('%s exact steps', (steps, expected) => {
    const plans = STRENGTHS.map((denoisingStrength) =>
      planSteps({ sampler: 'Euler', steps: Number(steps), denoisingStrength, exactSteps: true }),
    );
    expect(plans.map((plan) => [plan.scheduleSteps, plan.sliceStart])).toEqual(expected);
    for (const plan of plans) expect(plan.stepsExecuted).toBe(Number(steps));
  });

  test('strength 0 runs one step, or none when steps are exact', () => {
    const plan = { sampler: 'Euler', steps: 20, denoisingStrength: 0 };
    expect(planSteps(plan)).toMatchObject({ sliceStart: 19, stepsExecuted: 1 });
    const exact = planSteps({ ...plan, exactSteps: true });
    expect(exact).toMatchObject({ scheduleSteps: 0, stepsExecuted: 0, modelCalls: 0 });
  });

  test('second-order samplers call twice, but once in the last step', () => {
    const plan = planSteps({ sampler: 'Heun', steps: 20, denoisingStrength: 0.5 });
    expect(plan).toMatchObject({ stepsExecuted: 11, modelCalls: 21, totalCalls: 22 });
  });
});

describe('txt2img', () => {
  test.each([
    ['Euler', 'Automatic', 20, 20, 20],
    ['Heun', 'Automatic', 20, 20, 39],
    // Without a final 0 there is no shorter last step.
    ['Heun', 'KL Optimal', 20, 20, 40],
    // This schedule makes more steps than asked for where they do not divide 1000.
    ['Euler', 'DDIM', 20, 20, 20],
    ['Euler', 'ddim', 24, 25, 25],
    ['Euler', 'DDIM', 30, 31, 31],
    ['Euler', 'DDIM', 33, 34, 34],
    ['Euler', 'DDIM', 60, 63, 63],
    ['DPM++ 3M SDE', 'DDIM', 29, 30, 30],
    ['LCM', 'DDIM', 20, 25, 25],
    ['DPM2', 'Automatic', 20, 20, 39],
    ['DPM++ SDE', 'Automatic', 20, 20, 39],
    ['Restart', 'Automatic', 19, 19, 37],
    ['Restart', 'KL Optimal', 19, 19, 38],
    ['Restart', 'KL Optimal', 20, 20, 39],
    ['HeunPP2', 'Automatic', 20, 20, 57],
    ['HeunPP2', 'Automatic', 1, 1, 1],
    ['DPM fast', 'DDIM', 30, 11, 30],
    ['DPM fast', 'Automatic', 20, 7, 20],
    ['UniPC', 'Automatic', 20, 20, 20],
    ['PLMS', 'Automatic', 20, 19, 20],
    ['DDIM CFG++', 'Automatic', 20, 19, 19],
    ['DPM adaptive', 'Automatic', 20, null, null],
  ])('%s, %s, %d steps', (sampler, scheduler, steps, stepsExecuted, modelCalls) => {
    const plan = planSteps({ sampler, scheduler, steps });
    expect(plan).toMatchObject({ stepsExecuted, modelCalls, sliceStart: 0, noiseTimestep: null });
  });

  test.each([
    [3, 3],
    [10, 9],
    [15, 15],
    [20, 19],
    [28, 28],
    [30, 30],
    [35, 35],
    [60, 62],
  ])('DDIM with %d steps evaluates %d times', (steps, modelCalls) => {
    expect(planSteps({ sampler: 'DDIM', steps }).modelCalls).toBe(modelCalls);
  });

  test('DDIM with 20 steps goes from timestep 951 to 1', () => {
    const { timesteps } = planSteps({ sampler: 'DDIM', steps: 20 });
    expect([timesteps[0], timesteps[1], timesteps.at(-2), timesteps.at(-1)]).toEqual([
      951, 901, 51, 1,
    ]);
  });

  test('timesteps stay within the training schedule', () => {
    for (const steps of [1, 7, 999, 1000, 1500]) {
      const { timesteps } = planSteps({ sampler: 'DDIM', steps });
      expect(Math.max(...timesteps)).toBeLessThanOrEqual(999);
    }
  });

  test('dropping a level shortens the strides of timesteps', () => {
    const options = { alwaysDiscardNextToLastSigma: true };
    expect(planSteps({ sampler: 'DDIM', steps: 19, ...options }).timesteps[0]).toBe(951);
  });
});

describe('img2img, timestep samplers', () => {
  test.each(Object.entries(DDIM_STEPS))('DDIM, %s steps', (steps, expected) => {
    const plans = STRENGTHS.map((denoisingStrength) =>
      planSteps({ sampler: 'DDIM', steps: Number(steps), denoisingStrength }),
    );
    expect(plans.map((plan) => [plan.modelCalls, plan.noiseTimestep])).toEqual(expected);
  });

  test.each([
    [0.5, 40, 476],
    [0.7, 29, 666],
    [1, 20, 951],
  ])('20 exact steps at strength %d', (denoisingStrength, _length, noiseTimestep) => {
    const plan = planSteps({ sampler: 'DDIM', steps: 20, denoisingStrength, exactSteps: true });
    expect(plan).toMatchObject({ modelCalls: 18, noiseTimestep, announcedSteps: 20 });
  });

  test.each([
    ['DDIM', 18, 0.22, 2],
    ['PLMS', 18, 0.22, 3],
    ['UniPC', 18, 0.22, 3],
    ['DDIM', 60, 0.2, 11],
    ['PLMS', 60, 0.2, 12],
    ['UniPC', 60, 0.2, 12],
    ['DDIM', 45, 0.35, 14],
    ['UniPC', 45, 0.35, 15],
    ['PLMS', 10, 0.1, 0],
  ])('%s, %d steps at strength %d', (sampler, steps, denoisingStrength, modelCalls) => {
    expect(planSteps({ sampler, steps, denoisingStrength }).modelCalls).toBe(modelCalls);
  });

  test('a strength too small for a step evaluates nothing', () => {
    const plan = planSteps({ sampler: 'DDIM', steps: 10, denoisingStrength: 0.05 });
    expect(plan).toMatchObject({ modelCalls: 0, noiseTimestep: 1, timesteps: [] });
  });
});

describe('stepsThatExecute', () => {
  test.each([
    [4, { sampler: 'Euler', denoisingStrength: 0.22 }, 14],
    [20, { sampler: 'Euler' }, 20],
    [19, { sampler: 'DDIM' }, 19],
    [11, { sampler: 'DDIM', denoisingStrength: 0.6 }, 20],
    [25, { sampler: 'Euler', denoisingStrength: 0.3, exactSteps: true }, 25],
  ])('%d executed', (executed, input, steps) => {
    expect(stepsThatExecute(executed, input)).toBe(steps);
    expect(planSteps({ ...input, steps }).stepsExecuted).toBe(executed);
  });

  test('null where no number of steps gives it', () => {
    expect(stepsThatExecute(400, { sampler: 'Euler' })).toBeNull();
    expect(stepsThatExecute(200, { sampler: 'Euler', denoisingStrength: 0.1 })).toBeNull();
  });
});

test('an unknown sampler is an error', () => {
  expect(() => planSteps({ sampler: 'nope', steps: 1 })).toThrow(RangeError);
});
