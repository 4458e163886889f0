import { describe, expect, it } from 'vitest';
import { applyEmphasis, type EncodedChunk } from '../../../pipelines/prompt/emphasis.ts';
import { recordedEmphasis } from '../../fixtures/prompt/table.ts';

/** The generator's inputs: sin(i + 1) + offset, and weights between 0.5 and 1.5. */
function makeChunk(texts: number, width: number, offset: number, counts?: number[]): EncodedChunk {
  return {
    encoded: Float32Array.from({ length: texts * 77 * width }, (_, i) => Math.sin(i + 1) + offset),
    weights: Float32Array.from({ length: texts * 77 }, (_, i) => {
      const [text, token] = [Math.floor(i / 77), i % 77];
      return 1 + (((7 * token + 3 * text) % 5) - 2) / 4;
    }),
    width,
    counts,
  };
}

describe('against torch', () => {
  it.each(recordedEmphasis)('%i texts, width %i, offset %f, counts %j, %s', (...row) => {
    const [texts, width, offset, counts, mode, sum, first, last] = row;
    const chunk = makeChunk(texts, width, offset, counts);
    applyEmphasis(chunk, mode);
    const { encoded } = chunk;
    // A mean near 0 is the worst case of the ratio: torch sums in float32.
    const tolerance = 2e-5;
    const total = encoded.reduce((a, b) => a + b, 0);
    expect(Math.abs(total - sum)).toBeLessThan(tolerance * encoded.length * Math.abs(offset));
    for (const [got, want] of [
      [encoded.slice(0, 4), first],
      [encoded.slice(-4), last],
    ] as const) {
      want.forEach((value, i) => {
        expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(tolerance * Math.abs(value) + 1e-7);
      });
    }
  });
});

describe('applyEmphasis', () => {
  it.each(['Ignore', 'None'] as const)('changes nothing for %s', (mode) => {
    const chunk = makeChunk(1, 4, 0.3);
    const before = chunk.encoded.slice();
    applyEmphasis(chunk, mode);
    expect(chunk.encoded).toEqual(before);
  });

  it('changes nothing when every weight is 1', () => {
    const chunk = { ...makeChunk(1, 4, 0.3), weights: new Float32Array(77).fill(1) };
    const before = chunk.encoded.slice();
    applyEmphasis(chunk, 'Original');
    expect(chunk.encoded).toEqual(before);
  });

  it('restores the mean', () => {
    const chunk = makeChunk(2, 8, 0.4, [3, 1]);
    const mean = () =>
      chunk.encoded.reduce((sum, value, i) => sum + value * (i < 77 * 8 ? 3 : 1), 0);
    const before = mean();
    applyEmphasis(chunk, 'Original');
    expect(mean() / before).toBeCloseTo(1, 5);
  });

  it('leaves the product as it is when its mean is 0', () => {
    const chunk = {
      encoded: new Float32Array(77).fill(1),
      weights: new Float32Array(77),
      width: 1,
    };
    applyEmphasis(chunk, 'Original');
    expect(chunk.encoded).toEqual(new Float32Array(77));
  });
});
