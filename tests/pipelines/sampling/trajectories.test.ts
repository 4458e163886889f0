import { describe, expect, test } from 'vitest';
import { SAMPLERS } from '../../../pipelines/samplers/catalogue.ts';
import type { Prediction } from '../../../pipelines/sampling/denoiser.ts';
import { createModelSigmas } from '../../../pipelines/sampling/model-sigmas.ts';
import { createNoise } from '../../../pipelines/sampling/noise.ts';
import { planSteps } from '../../../pipelines/sampling/plan.ts';
import { sample } from '../../../pipelines/sampling/run-sampler.ts';
import { dummyNetwork } from './dummy-network.ts';
import { expectClose, readFixture } from './fixture.ts';

type Row = [sum: number, magnitude: number, a: number, b: number, c: number, z: number, n: number];

const trajectories = readFixture('trajectories.json') as Record<string, Record<string, Row>>;
const modelSigmas = createModelSigmas();
const CFG_SCALE = 1.75;
const SEED = 20;

test('every sampler of the catalogue has recorded trajectories', () => {
  expect(Object.keys(trajectories).sort()).toEqual(SAMPLERS.map(({ name }) => name).sort());
});

describe.each(SAMPLERS)('$name', ({ name: sampler }) => {
  test.each(Object.entries(trajectories[sampler] ?? {}))('%s', async (key, row) => {
    const [scheduler, prediction, steps] = key.split('/') as [string, Prediction, string];
    const { latent, modelCalls, stepsExecuted } = await sample({
      sampler,
      scheduler,
      steps: Number(steps),
      options: {},
      guidance: { cfgScale: CFG_SCALE, weights: [[1]] },
      modelSigmas,
      prediction,
      network: dummyNetwork,
      noise: createNoise({ source: 'CPU', shape: [1, 4, 4, 4], seeds: [SEED] }),
    });
    const x = latent.data;
    const sum = x.reduce((total, value) => total + value, 0);
    const magnitude = x.reduce((total, value) => total + Math.abs(value), 0);
    expectClose([sum, magnitude], row.slice(0, 2), 1e-4 * Math.sqrt(x.length));
    expectClose([x[0]!, x[1]!, x[2]!, x[x.length - 1]!], row.slice(2, 6), 1e-4);
    expect(modelCalls).toBe(row[6]);
    const plan = planSteps({ sampler, scheduler, steps: Number(steps) });
    if (plan.modelCalls !== null) {
      expect({ modelCalls, stepsExecuted }).toEqual({
        modelCalls: plan.modelCalls,
        stepsExecuted: plan.stepsExecuted,
      });
    }
  });
});
