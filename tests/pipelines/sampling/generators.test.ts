import { expect, test } from 'vitest';
import { createGenerator } from '../../../pipelines/sampling/generator.ts';
import { TorchCpuGenerator } from '../../../pipelines/sampling/mt19937.ts';
import { PhiloxGenerator } from '../../../pipelines/sampling/philox.ts';
import { expectClose, readFixture } from './fixture.ts';

type Summary = [first: number, third: number, last: number, sum: number, weighted: number];

function summarize(values: Float32Array): Summary {
  let sum = 0;
  let weighted = 0;
  for (const [i, value] of values.entries()) {
    sum += value;
    weighted += value * (1 + (i % 7));
  }
  const third = values[Math.floor(values.length / 3)]!;
  return [values[0]!, third, values[values.length - 1]!, sum, weighted];
}

const cases = readFixture('noise.json') as number[][];

test.each([
  ['NV', 2],
  ['CPU', 8],
] as const)('%s equals the reference for 1,000 seeds and sizes 1 to 100,000', (source, at) => {
  expect(cases).toHaveLength(1000);
  expect(Math.max(...cases.map((row) => row[1]!))).toBe(100_000);
  for (const row of cases) {
    const [seed, n] = [row[0]!, row[1]!];
    const generator = createGenerator(source, seed);
    const [first, third, last, sum, weighted] = summarize(generator.normal(n));
    const next = generator.normal(3)[2]!;
    expectClose([first, third, last, next], [...row.slice(at, at + 3), row[at + 5]!], 1e-6);
    // Rounding errors of f32 are independent: they grow with the root of the count.
    const spread = 1e-6 * Math.sqrt(n);
    expect(Math.abs(sum - row[at + 3]!)).toBeLessThan(spread + 1e-6);
    expect(Math.abs(weighted - row[at + 4]!)).toBeLessThan(5 * spread + 1e-6);
  }
});

test('NV equals values published for the web UI', () => {
  const generator = new PhiloxGenerator(0);
  expectClose(
    generator.normal(12),
    [
      -0.92466241, -0.42534396, -2.6438458, 0.14518388, -0.12086651, -0.57972568, -0.62285131,
      -0.32838714, -1.074542, -0.3631441, -1.6710504, 2.2655051,
    ],
    1e-7,
  );
  expectClose(generator.normal(4), [0.18082589, -0.55226272, 0.9238134, -0.73497033], 1e-7);
});

test('NV takes the high half of seeds above 32 bits', () => {
  const [low, high] = [
    new PhiloxGenerator(5).normal(4),
    new PhiloxGenerator(5 + 2 ** 32).normal(4),
  ];
  expect([...low]).not.toEqual([...high]);
});

test('CPU ignores the high half of a seed, as PyTorch does', () => {
  const [low, high] = [
    new TorchCpuGenerator(5).normal(20),
    new TorchCpuGenerator(5 + 2 ** 32).normal(20),
  ];
  expect([...low]).toEqual([...high]);
});

test('CPU keeps the second half of a pair across small draws, also past a large one', () => {
  const whole = new TorchCpuGenerator(0).normal(4);
  const split = new TorchCpuGenerator(0);
  expect([...split.normal(1), ...split.normal(3)]).toEqual([...whole]);
  const mixed = new TorchCpuGenerator(0);
  mixed.normal(1);
  mixed.normal(16);
  expect(mixed.normal(1)[0]).toBe(whole[1]);
});
