import { describe, expect, it } from 'vitest';
import { filterByRank } from '../../../pipelines/img2img/rank-filter.ts';
import { softOverlay } from '../../../pipelines/img2img/soft-overlay.ts';
import type { Latent, LatentShape } from '../../../pipelines/sampling/latents.ts';
import { makeImg2ImgJob, makeMaskUse } from './job.ts';

const SOFT = {
  scheduleBias: 1,
  preservationStrength: 0.5,
  transitionContrast: 4,
  maskInfluence: 0,
  differenceThreshold: 0.5,
  differenceContrast: 2,
};
const SHAPE: LatentShape = [1, 4, 8, 8];

function plane(values: (x: number, y: number) => number) {
  const data = Float32Array.from({ length: 64 }, (_, i) => values(i % 8, Math.floor(i / 8)));
  return { width: 8, height: 8, data };
}

describe('the rank filter', () => {
  it('leaves a flat plane as it is, corners too', () => {
    const { data } = filterByRank(
      plane(() => 3),
      [0.25, 0.75],
    );
    for (const value of data) expect(value).toBeCloseTo(3, 5);
  });

  it('spreads a peak with high ranks and removes it with middle ones', () => {
    const peak = plane((x, y) => (x === 3 && y === 3 ? 10 : 0));
    const at = (data: Float32Array, x: number, y: number) => data[y * 8 + x]!;
    const spread = filterByRank(peak, [0.9, 1]).data;
    expect(at(spread, 4, 3)).toBeGreaterThan(1);
    expect(at(spread, 7, 7)).toBe(0);
    expect(at(filterByRank(peak, [0.25, 0.75]).data, 3, 3)).toBe(0);
  });
});

describe('a soft overlay', () => {
  const raster = (channels: number) => ({
    width: 64,
    height: 64,
    channels,
    data: new Uint8Array(64 * 64 * channels).fill(255),
  });
  const init = (data: Float32Array) => ({
    latent: { data, shape: SHAPE },
    denoisingStrength: 0.5,
    mask: { data: new Float32Array(64).fill(1), shape: [1, 1, 8, 8] } as Latent,
  });

  function overlay(changed: (x: number, y: number) => boolean, box = false) {
    const use = makeMaskUse(new Uint8Array(), { soft: SOFT });
    const job = makeImg2ImgJob('x', [], { mask: use });
    const mask = {
      use,
      drawn: raster(1),
      latent: raster(1),
      originals: [raster(3)],
      overlay: raster(1),
      box: box ? { x1: 32, y1: 32, x2: 64, y2: 64 } : null,
    };
    const data = new Float32Array(256);
    const latent = Float32Array.from(data, (_, i) =>
      changed(i % 8, Math.floor(i / 8) % 8) ? 2 : 0,
    );
    const result = softOverlay(
      job,
      { images: [raster(3)], mask, comments: [] },
      init(data),
      { data: latent, shape: SHAPE },
      0,
    );
    return (x: number, y: number) => result!.data[y * 64 + x]!;
  }

  it('shows what changed and hides what did not', () => {
    const at = overlay((x) => x < 4);
    expect(at(4, 32)).toBeGreaterThan(240);
    expect(at(60, 32)).toBeLessThan(8);
    expect(at(36, 32)).toBeGreaterThan(10);
  });

  it('lies where the drawn part belongs', () => {
    const at = overlay(() => true, true);
    expect(at(48, 48)).toBeGreaterThan(240);
    expect(at(10, 10)).toBe(0);
  });

  it('is none without the script', () => {
    const use = makeMaskUse(new Uint8Array());
    const job = makeImg2ImgJob('x', [], { mask: use });
    const latent = { data: new Float32Array(256), shape: SHAPE };
    const pictures = { images: [], mask: null, comments: [] };
    expect(softOverlay(job, pictures, init(latent.data), latent, 0)).toBeUndefined();
  });
});
