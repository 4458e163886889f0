import { readFileSync } from 'node:fs';
import { expect } from 'vitest';

/** Reads a recorded reference output of `tests/fixtures/sampling`. */
export function readFixture(name: string): unknown {
  return JSON.parse(
    readFileSync(new URL(`../../fixtures/sampling/${name}`, import.meta.url), 'utf8'),
  );
}

/** Expects every value within `tolerance` of its reference, relative to values above 1. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const limit = tolerance * Math.max(1, Math.abs(expected[i]!));
    const error = Math.abs(actual[i]! - expected[i]!);
    // NaN fails too.
    if (!(error <= limit)) {
      expect.fail(`Value ${i} is ${actual[i]}, not ${expected[i]} ± ${limit}.`);
    }
  }
}
