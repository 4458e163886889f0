import { describe, expect, test } from 'vitest';
import {
  guide,
  needsUncond,
  pickUncond,
  skipsUncond,
} from '../../../pipelines/sampling/guidance.ts';

const rows = (...values: number[]) => Float32Array.from(values);

describe('guide', () => {
  test('moves from uncond past cond', () => {
    const layout = { weights: [[1]], hasUncond: true, size: 2 };
    expect([...guide(rows(3, 5, 1, 1), layout, 7)]).toEqual([15, 29]);
  });

  test('adds the weighted parts of AND, image by image', () => {
    const layout = { weights: [[1, 0.5], [2]], hasUncond: true, size: 1 };
    // Image 0: conds 2 and 6, uncond 1; image 1: cond 10, uncond 4.
    const guided = guide(rows(2, 6, 10, 1, 4), layout, 2);
    expect([...guided]).toEqual([1 + 2 * (1 * 1 + 0.5 * 5), 4 + 2 * 2 * 6]);
  });

  test('takes the first cond for a missing uncond', () => {
    const layout = { weights: [[1, 0.5]], hasUncond: false, size: 1 };
    expect([...guide(rows(2, 6), layout, 1)]).toEqual([2 + 0.5 * 4]);
  });

  test('steers by the picture where there are predictions without one', () => {
    const layout = { weights: [[1], [1]], hasUncond: true, hasBlank: true, size: 1 };
    // Conds 9 and 5, unconds 4 and 3, blanks 1 and 2: b + is · (u − b) + cfg · (c − u).
    const guided = guide(rows(9, 5, 4, 3, 1, 2), layout, 7, 0, 1.5);
    expect([...guided]).toEqual([1 + 1.5 * 3 + 7 * 5, 2 + 1.5 * 1 + 7 * 2]);
    expect([...pickUncond(rows(9, 5, 4, 3, 1, 2), layout)]).toEqual([4, 3]);
  });

  test('does not change the network output', () => {
    const output = rows(3, 5, 1, 1);
    guide(output, { weights: [[1]], hasUncond: true, size: 2 }, 7, 0.5);
    expect([...output]).toEqual([3, 5, 1, 1]);
  });

  test('rescales to the spread of the cond', () => {
    const layout = { weights: [[1]], hasUncond: true, size: 3 };
    const output = rows(1, 2, 3, 0, 0, 0);
    const plain = guide(output, layout, 4);
    const whole = guide(output, layout, 4, 1);
    const half = guide(output, layout, 4, 0.5);
    expect([...plain]).toEqual([4, 8, 12]);
    expect([...whole]).toEqual([1, 2, 3]);
    expect([...half]).toEqual([2.5, 5, 7.5]);
  });
});

describe('pickUncond', () => {
  test('gives the last rows, or the first cond of each image', () => {
    const weights = [[1, 1], [1]];
    expect([...pickUncond(rows(1, 2, 3, 4, 5), { weights, hasUncond: true, size: 1 })]).toEqual([
      4, 5,
    ]);
    expect([...pickUncond(rows(1, 2, 3), { weights, hasUncond: false, size: 1 })]).toEqual([1, 3]);
  });
});

describe('uncond pass', () => {
  test('is needed unless it cancels out', () => {
    expect(needsUncond({ cfgScale: 7, weights: [[1]] })).toBe(true);
    expect(needsUncond({ cfgScale: 1, weights: [[1], [1]] })).toBe(false);
    expect(needsUncond({ cfgScale: 1, weights: [[0.5, 0.5]] })).toBe(false);
    expect(needsUncond({ cfgScale: 1, weights: [[1], [1, 0.5]] })).toBe(true);
    expect(needsUncond({ cfgScale: 0, weights: [[1]] })).toBe(true);
  });

  const options = { cfgScale: 7, weights: [[1]] };
  const at = (call: number, level: number) => ({ call, totalCalls: 10, level });

  test('is never skipped by default', () => {
    expect(skipsUncond(options, at(1, 0))).toBe(false);
    expect(skipsUncond(options, at(0, 14))).toBe(false);
  });

  test('is skipped on odd calls below s_min_uncond', () => {
    const ngms = { ...options, sMinUncond: 3 };
    expect([0, 1, 2, 3].map((call) => skipsUncond(ngms, at(call, 2.9)))).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(skipsUncond(ngms, at(1, 3))).toBe(false);
    expect(skipsUncond({ ...ngms, sMinUncondAll: true }, at(0, 2.9))).toBe(true);
  });

  test('is not skipped by s_min_uncond where a picture guides', () => {
    const guided = { ...options, sMinUncond: 3, sMinUncondAll: true, imageCfgScale: 1.5 };
    expect(skipsUncond(guided, at(1, 0.1))).toBe(false);
  });

  test('is skipped up to the share skip_early_cond, inclusive', () => {
    const early = { ...options, skipEarlyCond: 0.2 };
    expect([0, 1, 2, 3].map((call) => skipsUncond(early, at(call, 14)))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});
