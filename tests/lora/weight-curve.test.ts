/** Weights over steps. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isWithin, readCurve, type WeightCurve, weightAt } from '../../lora/weight-curve.ts';

const over = (text: string, steps: number) =>
  Array.from({ length: steps }, (_, step) =>
    weightAt(readCurve(text) as WeightCurve, { step, steps }),
  );

describe('weightAt', () => {
  it.each([
    ['1.5', 3, [1.5, 1.5, 1.5]],
    // Straight lines, in shares of the pass: the first step is 0, the last 1.
    ['0@0,1@1', 5, [0, 0.25, 0.5, 0.75, 1]],
    ['0@0,1.5@0.5', 5, [0, 0.75, 1.5, 1.5, 1.5]],
    // Level before the first and after the last point; any order of writing.
    ['1@1;0.25@0.5', 5, [0.25, 0.25, 0.25, 0.625, 1]],
    ['8@0.3', 3, [8, 8, 8]],
    // Steps as soon as one place is greater than 1: off for the first three, then on.
    ['0@3,1@4', 6, [0, 0, 0, 1, 1, 1]],
    ['0@1,3@4', 5, [0, 1, 2, 3, 3]],
    // A jump: two weights at one place, the later one from there on.
    ['0@0,0@2,1@2', 4, [0, 1, 1, 1]],
    ['0@0,1@1', 1, [0]],
    // loractl's other spelling, and its place 1 where none is written.
    ['0~0;1.5~0.5', 5, [0, 0.75, 1.5, 1.5, 1.5]],
    ['0@0,1', 5, [0, 0.25, 0.5, 0.75, 1]],
  ])('%s over %d steps', (text, steps, weights) => {
    const actual = over(text, steps);
    expect(actual).toHaveLength(steps);
    for (const [i, weight] of actual.entries()) expect(weight).toBeCloseTo(weights[i] ?? 0, 12);
  });

  it.each(['', 'x', '1@', '@1', '1@2@3', '1@-1', '1,2', '2,1@0', '1@0,', 'inf@0', '1@nan', '1 2'])(
    '%j is no weight',
    (text) => expect(readCurve(text)).toBeNull(),
  );

  it('stays between the smallest and the largest weight', () => {
    const point = fc.tuple(fc.integer({ min: -80, max: 80 }), fc.integer({ min: 0, max: 40 }));
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 8 }), fc.nat(39), (points, step) => {
        const text = points.map(([weight, at]) => `${weight / 10}@${at / 2}`).join();
        const weight = weightAt(readCurve(text) as WeightCurve, { step, steps: 40 });
        const weights = points.map(([w]) => w / 10);
        expect(weight).toBeGreaterThanOrEqual(Math.min(...weights) - 1e-9);
        expect(weight).toBeLessThanOrEqual(Math.max(...weights) + 1e-9);
      }),
    );
  });
});

describe('isWithin', () => {
  const steps = (start: number | null, stop: number | null, total = 10) =>
    Array.from({ length: total }, (_, step) => step).filter((step) =>
      isWithin({ start, stop }, { step, steps: total }),
    );

  it('acts after the first `start` steps, for the first `stop` steps', () => {
    expect(steps(3, null)).toEqual([3, 4, 5, 6, 7, 8, 9]);
    expect(steps(null, 3)).toEqual([0, 1, 2]);
    expect(steps(2, 5)).toEqual([2, 3, 4]);
    expect(steps(5, 2)).toEqual([]);
  });

  it('takes numbers below 1 as shares of the pass', () => {
    expect(steps(null, 0.4)).toEqual([0, 1, 2, 3]);
    expect(steps(0.9, null)).toEqual([9]);
    expect(steps(0, 1)).toEqual([0]);
  });
});
