import { describe, expect, test } from 'vitest';
import { findSampler, SAMPLERS, SCHEDULERS } from '../../../pipelines/samplers/catalogue.ts';
import {
  createModelSigmas,
  indexToSigma,
  nearestIndex,
  sigmaToTimestep,
  thinModelSigmas,
} from '../../../pipelines/sampling/model-sigmas.ts';
import { betaCdf, betaQuantile } from '../../../pipelines/sampling/schedulers/beta-distribution.ts';
import { buildSigmas } from '../../../pipelines/sampling/sigmas.ts';
import { expectClose, readFixture } from './fixture.ts';

interface Recorded {
  alphas: Record<string, number>;
  zeroSnrAlphas: Record<string, number>;
  sigmaToTimestep: { sigmas: number[]; timesteps: number[]; nearest: number[] };
  timestepToSigma: { timesteps: number[]; sigmas: number[] };
  schedules: Record<string, Record<string, number[]>>;
  xl: Record<string, Record<string, number[]>>;
  overridden: Record<string, number[]>;
  discarded: Record<string, Record<string, number[]>>;
  lcm: Record<string, Record<string, number[]>>;
  zeroSnr: Record<string, number[]>;
}

const recorded = readFixture('sigmas.json') as Recorded;
const model = createModelSigmas();
const euler = findSampler('Euler')!;

describe('training schedule', () => {
  test.each([
    ['standard', model, recorded.alphas],
    ['zero terminal SNR', createModelSigmas({ zeroTerminalSnr: true }), recorded.zeroSnrAlphas],
  ] as const)('%s alphas equal the reference', (_, { alphasCumprod }, expected) => {
    for (const [t, alpha] of Object.entries(expected)) {
      expect(alphasCumprod[Number(t)]! / alpha).toBeCloseTo(1, 6);
    }
  });

  test('sigmas run from 0.029167533 to 14.614642', () => {
    expectClose([model.sigmaMin, model.sigmaMax], [0.029167533, 14.614642], 1e-7);
  });

  test('noise levels map to fractional and to nearest timesteps', () => {
    const { sigmas, timesteps, nearest } = recorded.sigmaToTimestep;
    const quantizing = createModelSigmas({ quantize: true });
    expectClose(
      sigmas.map((sigma) => sigmaToTimestep(model, sigma)),
      timesteps,
      1e-6,
    );
    expect(sigmas.map((sigma) => sigmaToTimestep(quantizing, sigma))).toEqual(nearest);
  });

  test('fractional timesteps map to noise levels', () => {
    const { timesteps, sigmas } = recorded.timestepToSigma;
    expectClose(
      timesteps.map((t) => indexToSigma(model, t)),
      sigmas,
      1e-6,
    );
  });

  test('every trained level maps to its own timestep', () => {
    for (const t of [0, 1, 500, 998, 999]) {
      expect(nearestIndex(model, model.sigmas[t]!)).toBe(t);
      expect(sigmaToTimestep(model, model.sigmas[t]!)).toBeCloseTo(t, 3);
    }
  });

  test('the thinned grid ends at timestep 999 and snaps to its own points', () => {
    const thin = thinModelSigmas(model, 20);
    expect(thin.sigmas).toHaveLength(50);
    expect([thin.sigmaMin, thin.sigmaMax]).toEqual([model.sigmas[19], model.sigmas[999]]);
    expect(sigmaToTimestep(thin, model.sigmas[41]!)).toBe(39);
  });
});

describe('schedules', () => {
  test.each(SCHEDULERS.map(({ name }) => name))('%s equals the reference', (name) => {
    for (const [steps, expected] of Object.entries(recorded.schedules[name]!)) {
      expectClose(buildSigmas(euler, name, Number(steps), model), expected, 1e-6);
    }
  });

  test.each(Object.keys(recorded.xl))('%s takes its SDXL table', (name) => {
    for (const [steps, expected] of Object.entries(recorded.xl[name]!)) {
      const sigmas = buildSigmas(euler, name, Number(steps), model, { isXl: true });
      expectClose(sigmas, expected, 1e-6);
    }
  });

  test.each(Object.keys(recorded.overridden))('%s honours sigma_min and sigma_max', (name) => {
    const options = { sigmaMin: 0.1, sigmaMax: 10 };
    const expected = recorded.overridden[name]!;
    expectClose(buildSigmas(euler, name, 10, model, options), expected, 1e-6);
    expectClose(buildSigmas(euler, name, 10, model, { useOldKarrasSigmas: true }), expected, 1e-6);
  });

  test.each(Object.keys(recorded.discarded))('%s can lose its next-to-last level', (name) => {
    const options = { alwaysDiscardNextToLastSigma: true };
    for (const [steps, expected] of Object.entries(recorded.discarded[name]!)) {
      expectClose(buildSigmas(euler, name, Number(steps), model, options), expected, 1e-6);
    }
  });

  test.each(Object.keys(recorded.zeroSnr))('%s runs on a zero-SNR model', (name) => {
    const zeroSnr = createModelSigmas({ zeroTerminalSnr: true });
    expectClose(buildSigmas(euler, name, 10, zeroSnr), recorded.zeroSnr[name]!, 1e-5);
  });

  // What every sampler steps along with every scheduler; eps and v share their noise levels.
  const pairs = SAMPLERS.filter(({ family }) => family === 'sigma').flatMap((sampler) =>
    SCHEDULERS.map(({ name }) => [sampler.name, name] as const),
  );
  test.each(pairs)('%s takes %s as the reference does', (samplerName, schedulerName) => {
    const sampler = findSampler(samplerName)!;
    const own = schedulerName === 'automatic' ? sampler.options.scheduler : undefined;
    const kind = sampler.gridStride
      ? 'lcm'
      : sampler.options.discard_next_to_last_sigma
        ? 'discarded'
        : 'schedules';
    const grid = sampler.gridStride ? thinModelSigmas(model, sampler.gridStride) : model;
    for (const steps of [10, 30]) {
      const expected = recorded[kind][own ?? schedulerName]![steps]!;
      expectClose(buildSigmas(sampler, schedulerName, steps, grid), expected, 1e-6);
    }
  });

  test('Automatic is what the sampler prefers', () => {
    const sampler = findSampler('DPM++ 2M')!;
    expect(buildSigmas(sampler, 'Automatic', 10, model)).toEqual(
      buildSigmas(euler, 'Karras', 10, model),
    );
    expect(buildSigmas(sampler, 'Uniform', 10, model)).toEqual(
      buildSigmas(euler, 'Automatic', 10, model),
    );
  });

  test('rho bends Karras and Polyexponential and nothing else', () => {
    for (const { name, default_rho } of SCHEDULERS) {
      const bent = buildSigmas(euler, name, 5, model, { rho: 3 });
      const plain = buildSigmas(euler, name, 5, model);
      if (default_rho === -1) expect(bent).toEqual(plain);
      else expect(bent).not.toEqual(plain);
    }
  });

  test('no steps are one level of 0', () => {
    expect([...buildSigmas(euler, 'karras', 0, model)]).toEqual([0]);
  });
});

describe('beta distribution', () => {
  test('quantile and cumulative function are inverse', () => {
    for (const [a, b] of [
      [0.6, 0.6],
      [2, 5],
      [0.1, 3],
      [1, 1],
    ] as const) {
      for (const q of [1e-6, 0.1, 0.5, 0.9, 0.999]) {
        expect(betaCdf(betaQuantile(q, a, b), a, b)).toBeCloseTo(q, 9);
      }
    }
  });

  test('known values', () => {
    expect(betaCdf(0.5, 2, 2)).toBeCloseTo(0.5, 12);
    expect(betaCdf(0.25, 1, 1)).toBeCloseTo(0.25, 12);
    expect(betaCdf(0.3, 2, 3)).toBeCloseTo(0.3483, 10);
    expect([betaQuantile(0, 0.6, 0.6), betaQuantile(1, 0.6, 0.6)]).toEqual([0, 1]);
  });
});
