import { describe, expect, it } from 'vitest';
import { boxBlur } from '../../images/box-blur.ts';
import { fillMasked } from '../../images/fill-masked.ts';
import { flattenAlpha } from '../../images/flatten.ts';
import type { Raster } from '../../images/raster.ts';
import recorded from '../fixtures/img2img/rasters.json' with { type: 'json' };

const [width, height] = [40, 30];

const picture: Raster = {
  width,
  height,
  channels: 3,
  data: Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => (i * 7 + Math.floor(i / (3 * width)) * 13) % 256,
  ),
};
const mask: Raster = {
  width,
  height,
  channels: 1,
  data: Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return y >= 5 && y < 22 && x >= 8 && x < 30 ? Math.min(255, Math.max(0, (x - 8) * 40)) : 0;
  }),
};

const decode = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

function largest(actual: Uint8Array, expected: Uint8Array): number {
  expect(actual).toHaveLength(expected.length);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
}

describe('a box blur', () => {
  it.each(Object.entries(recorded.blurs))('of %s pixels is Pillow’s', (sigma, expected) => {
    expect(largest(boxBlur(mask, Number(sigma)).data, decode(expected))).toBe(0);
  });

  it('leaves its source and a blur of 0 as they are', () => {
    const before = mask.data.slice();
    expect(boxBlur(mask, 0).data).toEqual(before);
    boxBlur(mask, 3);
    expect(mask.data).toEqual(before);
  });
});

describe('a filled mask', () => {
  it('is Pillow’s within its roundings, of which it has eleven', () => {
    expect(largest(fillMasked(picture, mask).data, decode(recorded.filled))).toBeLessThanOrEqual(3);
  });

  it('keeps what is not masked, to the bit', () => {
    const { data } = fillMasked(picture, mask);
    for (let i = 0; i < mask.data.length; i++) {
      if (mask.data[i] !== 0) continue;
      expect([...data.subarray(i * 3, i * 3 + 3)]).toEqual([
        ...picture.data.subarray(i * 3, i * 3 + 3),
      ]);
    }
  });

  it('of the whole picture is black', () => {
    const all = { ...mask, data: new Uint8Array(mask.data.length).fill(255) };
    expect(Math.max(...fillMasked(picture, all).data)).toBe(0);
  });
});

describe('a transparent picture', () => {
  it('is laid on the background as Pillow does', () => {
    const data = new Uint8Array(width * height * 4);
    for (let i = 0; i < mask.data.length; i++) {
      data.set(picture.data.subarray(i * 3, i * 3 + 3), i * 4);
      data[i * 4 + 3] = mask.data[i]!;
    }
    const flat = flattenAlpha({ width, height, channels: 4, data }, [255, 128, 0]);
    expect(largest(flat.data, decode(recorded.flattened))).toBe(0);
  });
});
