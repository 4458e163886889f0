import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blendRasters } from '../../images/blend.ts';
import { ImageError } from '../../images/errors.ts';
import type { Raster } from '../../images/raster.ts';
import { resampleNearest } from '../../images/resample-nearest.ts';
import { mapTiles, tileStarts } from '../../images/tile-grid.ts';
import pillow from '../fixtures/upscaler/pillow.json' with { type: 'json' };

const picture = (data: readonly number[]): Raster => ({
  width: pillow.width,
  height: pillow.height,
  channels: 3,
  data: Uint8Array.from(data),
});

describe('pixels are those of Pillow', () => {
  it.each(pillow.nearest)('nearest to $width x $height', ({ width, height, pixels }) => {
    const resized = resampleNearest(picture(pillow.first), width, height);
    expect(resized).toEqual({ width, height, channels: 3, data: Uint8Array.from(pixels) });
  });

  it.each(pillow.blend)('mixed at $share', ({ share, pixels }) => {
    const mixed = blendRasters(picture(pillow.first), picture(pillow.second), share);
    expect([...mixed.data]).toEqual(pixels);
  });

  it('pictures of two sizes are not mixed', () => {
    const other = resampleNearest(picture(pillow.second), 5, 7);
    expect(() => blendRasters(picture(pillow.first), other, 0.5)).toThrow(ImageError);
  });
});

describe('tileStarts', () => {
  it.each([
    [100, 192, 8, [0]],
    [192, 192, 8, [0]],
    [193, 192, 8, [0, 1]],
    [512, 192, 8, [0, 160, 320]],
    [600, 192, 8, [0, 136, 272, 408]],
    [1000, 512, 64, [0, 244, 488]],
  ])('of %d pixels in tiles of %d, %d shared', (size, tile, overlap, starts) => {
    expect(tileStarts(size, tile, overlap)).toEqual(starts);
  });

  it('cover every side with no less than the overlap', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3000 }),
        fc.integer({ min: 8, max: 600 }),
        (size, tile) => {
          const overlap = Math.floor(tile / 4);
          const starts = tileStarts(size, tile, overlap);
          expect(starts[0]).toBe(0);
          expect((starts.at(-1) ?? 0) + tile).toBeGreaterThanOrEqual(size);
          if (size > tile) expect((starts.at(-1) ?? 0) + tile).toBe(size);
          starts.slice(1).forEach((start, i) => {
            expect(start).toBeGreaterThan(starts[i] ?? 0);
            expect((starts[i] ?? 0) + tile - start).toBeGreaterThanOrEqual(overlap);
          });
        },
      ),
    );
  });
});

describe('mapTiles', () => {
  const image: Raster = {
    width: 70,
    height: 45,
    channels: 3,
    data: Uint8Array.from({ length: 70 * 45 * 3 }, (_, i) => (i * 37) % 251),
  };
  const size = { width: 32, height: 24, overlap: 8 };

  it('has no seams where the work on a tile does not depend on its neighbours', async () => {
    const seen: number[] = [];
    const whole = await mapTiles(image, size, async (tile, index, count) => {
      seen.push(index, count);
      return resampleNearest(tile, tile.width * 2, tile.height * 2);
    });
    expect(whole).toEqual(resampleNearest(image, 140, 90));
    expect(seen).toEqual([0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9, 6, 9, 7, 9, 8, 9]);
  });

  it('fades from one tile into the next', async () => {
    const strip: Raster = { width: 56, height: 1, channels: 1, data: new Uint8Array(56) };
    const whole = await mapTiles(strip, { ...size, height: 1 }, async (tile, index) => ({
      ...tile,
      data: tile.data.fill(index === 0 ? 0 : 255),
    }));
    const shares = [...(whole?.data.slice(24, 32) ?? [])];
    expect(shares).toEqual([0, 31, 63, 95, 127, 159, 191, 223]);
    expect(whole?.data[23]).toBe(0);
    expect(whole?.data[32]).toBe(255);
  });

  it('ends when the work is ended', async () => {
    let calls = 0;
    expect(await mapTiles(image, size, async (tile) => (calls++ < 4 ? tile : null))).toBeNull();
    expect(calls).toBe(5);
  });
});
