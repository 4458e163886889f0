import { describe, expect, it } from 'vitest';
import { toComplex, transformPlane } from '../../images/fft.ts';
import { matchNoise } from '../../images/matched-noise.ts';

describe('the Fourier transform', () => {
  /** The sum itself, scaled as the product scales it. */
  function slowly(width: number, height: number, values: Float64Array): [number, number][] {
    const sums: [number, number][] = [];
    for (let v = 0; v < height; v++) {
      for (let u = 0; u < width; u++) {
        let [re, im] = [0, 0];
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) {
            const turn = -2 * Math.PI * ((u * x) / width + (v * y) / height);
            re += values[y * width + x]! * Math.cos(turn);
            im += values[y * width + x]! * Math.sin(turn);
          }
        }
        sums.push([re / Math.sqrt(width * height), im / Math.sqrt(width * height)]);
      }
    }
    return sums;
  }

  it.each([
    [8, 8],
    [12, 10],
    [7, 1],
    [1, 6],
    [15, 16],
  ])(
    'of %i x %i numbers is their sum with turning factors, and comes back',
    async (width, height) => {
      const values = Float64Array.from({ length: width * height }, (_, i) => Math.sin(i * i + 1));
      const plane = toComplex(width, height, values.slice());
      await transformPlane(plane, false);
      slowly(width, height, values).forEach(([re, im], i) => {
        expect(plane.re[i]).toBeCloseTo(re, 9);
        expect(plane.im[i]).toBeCloseTo(im, 9);
      });
      await transformPlane(plane, true);
      values.forEach((value, i) => {
        expect(plane.re[i]).toBeCloseTo(value, 9);
        expect(plane.im[i]).toBeCloseTo(0, 9);
      });
    },
  );
});

describe('matched noise', () => {
  const [width, height] = [64, 48];
  const image = {
    width,
    height,
    channels: 3,
    // Stripes of two reds; black where the mask is white.
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const x = Math.floor(i / 3) % width;
      return x >= 40 || i % 3 > 0 ? 0 : x % 8 < 4 ? 200 : 120;
    }),
  };
  const mask = {
    width,
    height,
    channels: 1,
    data: Uint8Array.from({ length: width * height }, (_, i) => (i % width >= 40 ? 255 : 0)),
  };
  const shape = { falloff: 1, colorVariation: 0.05 };

  it('keeps what is not masked and takes its colours for the rest', async () => {
    const { data } = await matchNoise(image, mask, shape);
    const reds: number[] = [];
    for (let i = 0; i < mask.data.length; i++) {
      const pixel = [...data.subarray(i * 3, i * 3 + 3)];
      if (mask.data[i] === 0) expect(pixel).toEqual([...image.data.subarray(i * 3, i * 3 + 3)]);
      else reds.push(pixel[0]!);
      expect(pixel[1]).toBe(0);
    }
    expect(Math.min(...reds)).toBeGreaterThanOrEqual(119);
    expect(Math.max(...reds)).toBeLessThanOrEqual(200);
    const light = reds.filter((red) => red > 160).length / reds.length;
    expect(light).toBeCloseTo(0.5, 1);
  });

  it('is the same every time, and another with another fall-off', async () => {
    const first = await matchNoise(image, mask, shape);
    expect(await matchNoise(image, mask, shape)).toEqual(first);
    expect(await matchNoise(image, mask, { ...shape, falloff: 0.5 })).not.toEqual(first);
  });

  it('takes a picture that is all masked', async () => {
    const all = { ...mask, data: new Uint8Array(mask.data.length).fill(255) };
    const black = { ...image, data: new Uint8Array(image.data.length) };
    expect((await matchNoise(black, all, shape)).data).toHaveLength(image.data.length);
  });
});
