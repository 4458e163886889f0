import { describe, expect, it } from 'vitest';
import { matchColors } from '../../images/color-match.ts';
import { lumaOf, setLuma } from '../../images/luminosity.ts';
import type { Raster } from '../../images/raster.ts';

/** 16 x 16 pixels from a function of their place. */
function paint(color: (i: number) => readonly [number, number, number]): Raster {
  const data = new Uint8Array(16 * 16 * 3);
  for (let i = 0; i < 256; i++) data.set(color(i), i * 3);
  return { width: 16, height: 16, channels: 3, data };
}

const grey = paint((i) => [i, i, i]);
const mean = ({ data }: Raster, c: number) =>
  data.reduce((sum, value, i) => sum + (i % 3 === c ? value : 0), 0) / 256;

describe('matched colours', () => {
  it('leave a picture that is its own model as it is, but for 8 bits of L*a*b*', () => {
    const picture = paint((i) => [i, (i * 7) % 256, 255 - i]);
    const { data } = matchColors(picture, picture);
    const largest = data.reduce((most, v, i) => Math.max(most, Math.abs(v - picture.data[i]!)), 0);
    expect(largest).toBeLessThanOrEqual(16);
  });

  it('take the tint of the model and keep their own light', () => {
    const red = paint((i) => [Math.min(255, 80 + i / 2), i / 4, i / 4]);
    const result = matchColors(grey, red);
    expect(mean(result, 0)).toBeGreaterThan(mean(result, 1) + 40);
    for (const i of [40, 128, 200]) {
      const [r, g, b] = result.data.subarray(i * 3, i * 3 + 3);
      expect(lumaOf(r!, g!, b!)).toBeCloseTo(i, -1);
    }
  });

  it('need no picture of the same size', () => {
    const small = { width: 1, height: 1, channels: 3, data: Uint8Array.of(10, 20, 200) };
    expect(matchColors(grey, small).data).toHaveLength(grey.data.length);
  });
});

describe('luminosity', () => {
  it('is set, and stays within range', () => {
    for (const color of [
      [1, 0, 0],
      [0, 0, 1],
      [0.2, 0.9, 0.4],
    ] as const) {
      for (const luma of [0, 0.1, 0.5, 0.9, 1]) {
        const set = setLuma(color, luma);
        expect(lumaOf(...set)).toBeCloseTo(luma, 6);
        for (const value of set) {
          expect(value).toBeGreaterThanOrEqual(-1e-9);
          expect(value).toBeLessThanOrEqual(1 + 1e-9);
        }
      }
    }
  });
});
