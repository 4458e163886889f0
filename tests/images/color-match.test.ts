import { describe, expect, it } from 'vitest';
import { matchColors } from '../../images/color-match.ts';
import { lumaOf, setLuma } from '../../images/luminosity.ts';
import type { Raster } from '../../images/raster.ts';
import records from '../fixtures/images/colors.json' with { type: 'json' };

/** 16 x 16 pixels from a function of their place. */
function paint(color: (i: number) => readonly [number, number, number]): Raster {
  const data = new Uint8Array(16 * 16 * 3);
  for (let i = 0; i < 256; i++) data.set(color(i), i * 3);
  return { width: 16, height: 16, channels: 3, data };
}

const grey = paint((i) => [i, i, i]);
const mean = ({ data }: Raster, c: number) =>
  data.reduce((sum, value, i) => sum + (i % 3 === c ? value : 0), 0) / 256;

const SIDE = 48;
/** The recorded pictures, by column and row. */
const FORMULAS: Readonly<Record<string, (x: number, y: number) => readonly number[]>> = {
  hills: (x, y) => [x * 5, y * 5, (x + y) * 2 + 30],
  dusk: (x, y) => [((x * y) % 200) + 40, 40 + y * 2, 130 + ((x * 3) % 100)],
  noise: (x, y) => [(x * 37 + y * 91) % 256, (x * 53 + y * 29) % 256, (x * 17 + y * 71) % 256],
  grey: (x, y) => [x * 4 + y, x * 4 + y, x * 4 + y],
};

function draw(name: string): Raster {
  const data = new Uint8Array(SIDE * SIDE * 3);
  for (let i = 0; i < SIDE * SIDE; i++) {
    data.set(FORMULAS[name]?.(i % SIDE, Math.floor(i / SIDE)) ?? [], i * 3);
  }
  return { width: SIDE, height: SIDE, channels: 3, data };
}

describe('the colours of the web UI', () => {
  it.each(records)('of $image by $model', ({ image, model, rgb }) => {
    const expected = Buffer.from(rgb, 'base64');
    const { data } = matchColors(draw(image), draw(model));
    const off = data.map((value, i) => Math.abs(value - expected[i]!));
    // The way back from L*a*b* is in fixed point there: a level or two of a channel.
    expect(Math.max(...off)).toBeLessThanOrEqual(2);
    expect(off.reduce((sum, value) => sum + value, 0) / off.length).toBeLessThan(0.1);
  });
});

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
