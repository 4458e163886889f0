import { describe, expect, test } from 'vitest';
import { SAMPLERS } from '../../../pipelines/samplers/catalogue.ts';
import type { UniPcOptions } from '../../../pipelines/samplers/sampler.ts';
import type { Prediction } from '../../../pipelines/sampling/denoiser.ts';
import { createModelSigmas } from '../../../pipelines/sampling/model-sigmas.ts';
import { createNoise } from '../../../pipelines/sampling/noise.ts';
import { planSteps } from '../../../pipelines/sampling/plan.ts';
import {
  type SampleInit,
  type SampleResult,
  type SamplingOptions,
  sample,
} from '../../../pipelines/sampling/run-sampler.ts';
import { dummyNetwork } from './dummy-network.ts';
import { expectClose, readFixture } from './fixture.ts';

type Row = [sum: number, magnitude: number, a: number, b: number, c: number, z: number, n: number];

const trajectories = readFixture('trajectories.json') as Record<string, Record<string, Row>>;
const withOptions = readFixture('options.json') as Record<string, Record<string, Row>>;
const modelSigmas = createModelSigmas();
const CFG_SCALE = 1.75;
const SEED = 20;
const SHAPE = [1, 4, 4, 4] as const;

function run(
  sampler: string,
  scheduler: string,
  prediction: Prediction,
  steps: number,
  options: SamplingOptions = {},
  init?: SampleInit,
): Promise<SampleResult> {
  return sample({
    sampler,
    scheduler,
    steps,
    options,
    guidance: { cfgScale: CFG_SCALE, weights: [[1]] },
    modelSigmas,
    prediction,
    network: dummyNetwork,
    noise: createNoise({ source: 'CPU', shape: SHAPE, seeds: [SEED] }),
    ...(init && { init }),
  });
}

function expectRow({ latent: { data: x }, modelCalls }: SampleResult, row: Row): void {
  const sum = x.reduce((total, value) => total + value, 0);
  const magnitude = x.reduce((total, value) => total + Math.abs(value), 0);
  expectClose([sum, magnitude], row.slice(0, 2), 1e-4);
  expectClose([x[0]!, x[1]!, x[2]!, x[x.length - 1]!], row.slice(2, 6), 1e-4);
  expect(modelCalls).toBe(row[6]);
}

test('every sampler of the catalogue has recorded trajectories', () => {
  const names = SAMPLERS.map(({ name }) => name).sort();
  expect(Object.keys(trajectories).sort()).toEqual(names);
  expect(Object.keys(withOptions).sort()).toEqual(names);
});

describe.each(SAMPLERS)('$name', ({ name: sampler }) => {
  test.each(Object.entries(trajectories[sampler] ?? {}))('%s', async (key, row) => {
    const [scheduler, prediction, steps] = key.split('/') as [string, Prediction, string];
    const result = await run(sampler, scheduler, prediction, Number(steps));
    expectRow(result, row);
    const { modelCalls, stepsExecuted } = planSteps({ sampler, scheduler, steps: Number(steps) });
    if (modelCalls === null) return;
    expect([result.modelCalls, result.stepsExecuted]).toEqual([modelCalls, stepsExecuted]);
  });
});

/** What the names of the recorded rows stand for; see `generate_trajectories.py`. */
function optionsOf(sampler: string, key: string): SamplingOptions {
  if (key === 'churn') return { sChurn: 4, sTmin: 0.3, sTmax: 9, sNoise: 1.05 };
  if (key === 'still') return { eta: 0 };
  if (key === 'eta') return sampler === 'TCD' ? { eta: 0.8 } : { eta: 0.4, sNoise: 1.1 };
  if (key === 'sgm') return { sgmNoiseMultiplier: true };
  if (!key.includes('/')) return {};
  const [variant, skipType, order, final] = key.split('/') as [
    UniPcOptions['variant'],
    UniPcOptions['skipType'],
    string,
    string,
  ];
  const lowerOrderFinal = final === 'low';
  return { uniPc: { variant, skipType, order: Number(order), lowerOrderFinal } };
}

describe.each(SAMPLERS)('$name with options', ({ name: sampler, family }) => {
  test.each(Object.entries(withOptions[sampler] ?? {}))('%s', async (key, row) => {
    const data = Float32Array.from({ length: 64 }, (_, i) => i / 32 - 1);
    const init = { latent: { data, shape: SHAPE }, denoisingStrength: 0.6 };
    const isShort = key.includes('/');
    const result = await run(
      sampler,
      'Karras',
      'eps',
      key === 'many' ? 40 : isShort ? 10 : 12,
      optionsOf(sampler, key),
      key === 'picture' ? init : undefined,
    );
    expectRow(result, row);
    expect(family === 'timestep' || !isShort).toBe(true);
  });
});
