/** Decoding in tiles and around the edges with a real (tiny) VAE. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RgbImage } from '../../images/rgb-image.ts';
import { decodeLatent } from '../../pipelines/decode.ts';
import type { Model } from '../../pipelines/model/model.ts';
import type { Latent } from '../../pipelines/sampling/latents.ts';
import { fixtureCheckpoint } from '../networks/fixture.ts';
import { openModel } from './tiny.ts';

let model: Model;

beforeAll(async () => {
  model = await openModel(fixtureCheckpoint('sd15'));
});
afterAll(() => model.release());

/** A latent of soft shapes that go on at the other edge, as pictures that tile have. */
function makeLatent(height: number, width: number, batch = 1): Latent {
  const data = new Float32Array(batch * 4 * height * width);
  for (let i = 0; i < data.length; i++) {
    const [x, y, c] = [i % width, Math.floor(i / width) % height, Math.floor(i / (width * height))];
    const [u, v] = [(2 * Math.PI * x) / width, (2 * Math.PI * y) / height];
    data[i] = Math.sin(5 * u + c) * Math.cos(4 * v - c) + 0.5 * Math.sin(9 * v + 7 * u + 2 * c);
  }
  return { data, shape: [batch, 4, height, width] };
}

/** Moves a latent by whole cells; what leaves at one edge enters at the other. */
function roll({ data, shape }: Latent, dy: number, dx: number): Latent {
  const [, , height, width] = shape;
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const [x, y, plane] = [
      i % width,
      Math.floor(i / width) % height,
      Math.floor(i / (width * height)),
    ];
    out[(plane * height + ((y + dy) % height)) * width + ((x + dx) % width)] = data[i] as number;
  }
  return { data: out, shape };
}

function rollImage({ width, height, rgb }: RgbImage, dy: number, dx: number): RgbImage {
  const out = new Uint8Array(rgb.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const target = ((y + dy) % height) * width + ((x + dx) % width);
      const source = (y * width + x) * 3;
      out.set(rgb.subarray(source, source + 3), target * 3);
    }
  }
  return { width, height, rgb: out };
}

const decode = async (latent: Latent, options: { circular?: boolean; maxBytes?: number }) =>
  (await decodeLatent(model, latent, options))[0] as RgbImage;

function meanDifference(a: RgbImage, b: RgbImage): number {
  expect([a.width, a.height]).toEqual([b.width, b.height]);
  let sum = 0;
  a.rgb.forEach((value, i) => {
    sum += Math.abs(value - (b.rgb[i] as number));
  });
  return sum / a.rgb.length;
}

/** Mean step between a column of pixels and the one before it, around the edge for column 0. */
function stepAt({ width, height, rgb }: RgbImage, x: number): number {
  let sum = 0;
  for (let y = 0; y < height; y++) {
    for (let c = 0; c < 3; c++) {
      const row = y * width;
      const before = rgb[(row + ((x + width - 1) % width)) * 3 + c] as number;
      sum += Math.abs((rgb[(row + x) * 3 + c] as number) - before);
    }
  }
  return sum / (height * 3);
}

describe('in tiles', () => {
  it('is close to the whole picture', async () => {
    const latent = makeLatent(16, 112);
    const whole = await decode(latent, { maxBytes: Number.POSITIVE_INFINITY });
    const tiled = await decode(latent, { maxBytes: 0 });
    expect([tiled.width, tiled.height]).toEqual([896, 128]);
    // Group norms see a tile instead of the picture, so the two are not equal.
    const difference = meanDifference(tiled, whole);
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(3);
  });

  it('shows no seams where tiles begin and end', async () => {
    const latent = makeLatent(12, 112);
    const whole = await decode(latent, { maxBytes: Number.POSITIVE_INFINITY });
    const tiled = await decode(latent, { maxBytes: 0 });
    // Tiles are 64 cells wide: 0-63 and 48-111.
    for (const edge of [48 * 8, 64 * 8]) {
      for (const x of [edge - 1, edge, edge + 1]) {
        expect(stepAt(tiled, x), `${x}`).toBeLessThan(stepAt(whole, x) + 1);
      }
    }
  });

  it('is the whole picture when that fits one tile', async () => {
    const latent = makeLatent(8, 12, 2);
    const tiled = await decodeLatent(model, latent, { maxBytes: 0 });
    const whole = await decodeLatent(model, latent);
    expect(tiled).toHaveLength(2);
    expect(tiled).toEqual(whole);
  });
});

describe('for pictures that tile', () => {
  it('goes on at the other edge: a rolled latent gives the rolled picture', async () => {
    const latent = makeLatent(24, 16);
    const picture = await decode(latent, { circular: true });
    const rolled = await decode(roll(latent, 5, 3), { circular: true });
    expect(meanDifference(rolled, rollImage(picture, 40, 24))).toBeLessThan(0.05);
    const plain = await decode(roll(latent, 5, 3), {});
    const plainPicture = await decode(latent, {});
    expect(meanDifference(plain, rollImage(plainPicture, 40, 24))).toBeGreaterThan(0.5);
  });

  it('has no step at its edge that it has not elsewhere', async () => {
    const latent = makeLatent(24, 24);
    const picture = await decode(latent, { circular: true });
    const inside = [40, 80, 120].map((x) => stepAt(picture, x));
    expect(stepAt(picture, 0)).toBeLessThan(2 * Math.max(...inside));
  });

  it('still does in tiles, which reach over the edge', async () => {
    const latent = makeLatent(12, 104);
    const whole = await decode(latent, { circular: true, maxBytes: Number.POSITIVE_INFINITY });
    const tiled = await decode(latent, { circular: true, maxBytes: 0 });
    expect(meanDifference(tiled, whole)).toBeLessThan(3);
    expect(stepAt(tiled, 0)).toBeLessThan(stepAt(whole, 0) + 1);
    const tall = makeLatent(80, 12);
    const edges = await decode(tall, { circular: true, maxBytes: 0 });
    const middle = await decode(roll(tall, 40, 5), { circular: true, maxBytes: 0 });
    expect(meanDifference(middle, rollImage(edges, 320, 40))).toBeLessThan(3);
  });
});
