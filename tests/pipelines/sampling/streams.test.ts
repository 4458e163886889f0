import { describe, expect, test } from 'vitest';
import { BrownianTree, createBrownianNoise } from '../../../pipelines/sampling/brownian.ts';
import type { NoiseSource } from '../../../pipelines/sampling/generator.ts';
import { createNoise, type NoiseOptions } from '../../../pipelines/sampling/noise.ts';
import { generateSeedState } from '../../../pipelines/sampling/seed-sequence.ts';
import { expectClose, readFixture } from './fixture.ts';

interface Streams {
  streams: (NoiseOptions & { draws: number[][] })[];
  brownian: {
    source: NoiseSource;
    seed: number;
    size: number;
    sigmaMin: number;
    sigmaMax: number;
    pairs: [number, number][];
    noise: number[][];
  }[];
  seedStates: { entropy: number; spawnKey: number[]; poolSize: number; state: number[] }[];
}

const recorded = readFixture('streams.json') as Streams;

describe('noise stream', () => {
  test.each(recorded.streams.map((stream, i) => ({ ...stream, i })))(
    '$i: $source $shape, strength $subseedStrength, resize $seedResizeFromH, ENSD $etaNoiseSeedDelta',
    ({ draws, i: _, ...options }) => {
      const noise = createNoise(options);
      for (const expected of draws) expectClose(noise.next(), expected, 1e-5);
    },
  );

  test('an image does not depend on the batch it is drawn in', () => {
    const shape = [1, 4, 3, 5] as const;
    const batch = createNoise({ source: 'NV', shape: [2, 4, 3, 5], seeds: [1, 2] });
    const alone = createNoise({ source: 'NV', shape, seeds: [2] });
    for (let draw = 0; draw < 3; draw++) {
      expect(batch.next().subarray(60)).toEqual(alone.next());
    }
  });

  test('a missing subseed counts as 0', () => {
    const options = {
      source: 'NV',
      shape: [1, 4, 3, 5],
      seeds: [1],
      subseedStrength: 0.5,
    } as const;
    expect(createNoise(options).next()).toEqual(createNoise({ ...options, subseeds: [0] }).next());
  });
});

describe('Brownian tree', () => {
  test.each(recorded.brownian)('$source seed $seed equals torchsde', (row) => {
    const noise = createBrownianNoise(row.source, [row.seed], row.size, row.sigmaMin, row.sigmaMax);
    row.pairs.forEach(([sigma, sigmaNext], i) => {
      // The reference takes differences in f32: short steps lose digits there.
      const tolerance = Math.max(1e-6, 2e-6 / Math.sqrt(Math.abs(sigma - sigmaNext)));
      expectClose(noise(sigma, sigmaNext), row.noise[i]!, tolerance);
    });
  });

  test('a value does not depend on what was asked before', () => {
    const ordered = new BrownianTree('NV', 3, 4, 0.03, 14.6);
    const jumping = new BrownianTree('NV', 3, 4, 0.03, 14.6);
    for (const time of [9, 0.5, 14.6, 0.03]) jumping.at(time);
    expect(jumping.at(2.5)).toEqual(ordered.at(2.5));
  });

  test('steps of one image are independent of its batch', () => {
    const both = createBrownianNoise('NV', [5, 6], 3, 0.03, 14.6);
    const alone = createBrownianNoise('NV', [6], 3, 0.03, 14.6);
    expect(both(14.6, 7).subarray(3)).toEqual(alone(14.6, 7));
  });

  test('halves of the sixth decimal round to even, as in Python', () => {
    // 0.5078125 is stored exactly; toFixed would round it up to 0.507813.
    const tree = new BrownianTree('NV', 1, 2, 0, 1);
    expect(tree.at(0.5078125)).toEqual(tree.at(0.507812));
    expect(tree.at(0.5234375)).toEqual(tree.at(0.523438));
  });
});

test.each(recorded.seedStates)('seed state of $entropy / $spawnKey equals numpy', (row) => {
  expect([...generateSeedState(row.entropy, row.spawnKey, row.poolSize, 4)]).toEqual(row.state);
});
