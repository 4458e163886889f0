import { describe, expect, it } from 'vitest';
import type { Latent, LatentShape } from '../../../pipelines/sampling/latents.ts';
import { blend } from '../../../pipelines/sampling/mask.ts';
import { blendSoftly, type SoftBlend } from '../../../pipelines/sampling/soft-blend.ts';

const SHAPE: LatentShape = [2, 4, 2, 3];
const CELLS = 6;
const SOFT: SoftBlend = { scheduleBias: 1, preservationStrength: 0.5, transitionContrast: 4 };

const init: Latent = {
  shape: SHAPE,
  data: Float32Array.from({ length: 48 }, (_, i) => Math.sin(i * 1.3)),
};
const x = Float32Array.from({ length: 48 }, (_, i) => 2 * Math.cos(i * 0.7));
const makeMask = (values: number[]): Latent => ({
  shape: [1, 1, 2, 3],
  data: Float32Array.from(values),
});

/** Length of one cell's vector over the channels. */
function lengthOf(data: Float32Array, image: number, cell: number): number {
  const values = [0, 1, 2, 3].map((c) => data[(image * 4 + c) * CELLS + cell]!);
  return Math.hypot(...values);
}

describe('a soft blend', () => {
  it('is a cut where the mask is black or white', () => {
    const mask = makeMask([0, 1, 1, 0, 1, 0]);
    const cut = blend(x, { mask, init });
    blendSoftly(x, init, mask, SOFT, 3).forEach((value, i) => {
      expect(value).toBeCloseTo(cut[i]!, 4);
    });
  });

  it('keeps more of the picture the higher the noise level is', () => {
    const mask = makeMask(new Array<number>(6).fill(0.5));
    const soft = { ...SOFT, transitionContrast: 1 };
    const distance = (level: number) => {
      const mixed = blendSoftly(x, init, mask, soft, level);
      return Math.hypot(...mixed.map((value, i) => value - init.data[i]!));
    };
    expect(distance(10)).toBeLessThan(distance(1));
    expect(distance(1)).toBeLessThan(distance(0.1));
  });

  it('is the mask to the power of level ^ bias · strength', () => {
    // One channel that counts: then a vector is its own length and the mix is the power mean.
    const one: LatentShape = [1, 1, 1, 1];
    const mask = { shape: one, data: Float32Array.of(0.4) };
    const share = 0.4 ** (2.5 ** 1 * 0.5);
    const [mixed] = blendSoftly(
      Float32Array.of(3),
      { shape: one, data: Float32Array.of(1) },
      mask,
      SOFT,
      2.5,
    );
    expect(mixed).toBeCloseTo((1 * (1 - share) + 3 ** 4 * share) ** (1 / 4), 4);
  });

  it('gives each cell the power mean of both lengths, so that nothing blurs', () => {
    const mask = makeMask([0.2, 0.5, 0.8, 0.3, 0.6, 0.9]);
    const mixed = blendSoftly(x, init, mask, { ...SOFT, scheduleBias: 0 }, 7);
    for (let image = 0; image < 2; image++) {
      for (let cell = 0; cell < CELLS; cell++) {
        const share = mask.data[cell]! ** 0.5;
        const [a, b] = [lengthOf(init.data, image, cell), lengthOf(x, image, cell)];
        const mean = (a ** 4 * (1 - share) + b ** 4 * share) ** (1 / 4);
        expect(lengthOf(mixed, image, cell)).toBeCloseTo(mean, 3);
      }
    }
  });
});
