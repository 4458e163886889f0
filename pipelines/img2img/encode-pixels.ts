/** Pictures to latents, whole or, where memory asks for it, in tiles. */
import type { Raster } from '../../images/raster.ts';
import type { Network } from '../../networks/session.ts';
import { CELL_PIXELS, cut, fitsMemory, OVERLAP_CELLS, TILE_CELLS, tileStarts } from '../decode.ts';
import { assertFinite } from '../errors.ts';
import type { Model } from '../model/model.ts';
import { countValues, type Latent, type LatentShape } from '../sampling/latents.ts';

/** Pixels as the networks see them: f32 [3, height, width], -1 … 1. */
export interface Pixels {
  width: number;
  height: number;
  data: Float32Array;
}

/**
 * Returns a picture as the networks see it, computed in f32 as the web UI does.
 *
 * @param image  three channels; not changed
 */
export function toPixels({ width, height, data }: Raster): Pixels {
  const size = width * height;
  const pixels = new Float32Array(3 * size);
  for (let i = 0, from = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) pixels[c * size + i] = 2 * Math.fround(data[from++]! / 255) - 1;
  }
  return { width, height, data: pixels };
}

/**
 * Encodes pictures of one size into one batch of latents: the mean of the posterior.
 *
 * The web UI draws from the posterior with a generator that no request can seed, so that no result
 * of its img2img can be had again. Its spread is far below what one step of noise adds; the mean is
 * what is expected of it, and the same request gives the same picture.
 *
 * @param images   sides of 8 pixels or more; what is beyond a multiple of 8 is lost to the latent
 * @param options  `maxBytes`: memory a whole encode may take; default a share of what is free
 * @returns f32 [images, z, floor(height / 8), floor(width / 8)], scaled as the UNet has it
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function encodePixels(
  model: Model,
  images: readonly Pixels[],
  options: { circular?: boolean; maxBytes?: number } = {},
): Promise<Latent> {
  const { circular = false, maxBytes } = options;
  const encoder = await model.encoder(circular);
  const first = images[0] as Pixels;
  const [height, width] = [first.height, first.width].map((side) =>
    Math.floor(side / CELL_PIXELS),
  ) as [number, number];
  const shape: LatentShape = [images.length, model.vae.zChannels, height, width];
  const size = countValues(shape.slice(1));
  const data = new Float32Array(images.length * size);
  const isWhole =
    fitsMemory(model, first.width * first.height, maxBytes) ||
    Math.max(height, width) <= TILE_CELLS;
  for (const [i, image] of images.entries()) {
    const one = isWhole
      ? await encodeWhole(encoder, model, image)
      : await encodeTiled(encoder, model, image, shape, circular);
    data.set(one, i * size);
  }
  return { data, shape };
}

async function encodeWhole(
  encoder: Network,
  model: Model,
  { width, height, data }: Pixels,
): Promise<Float32Array> {
  const pixels = { type: 'float32', data, shape: [1, 3, height, width] } as const;
  const { mean } = await encoder.run({ pixels }, ['mean']);
  const latent = mean?.data as Float32Array;
  assertFinite('VAE encoder', model.checkpoint.name, latent);
  return latent;
}

/** Weight of a cell in its tile: rises from the tile's edges over the overlap. */
function ramp(at: number, length: number): number {
  return Math.min(1, Math.min(at + 1, length - at) / OVERLAP_CELLS);
}

/** Encodes overlapping tiles and blends them; their normalisation is per tile. */
async function encodeTiled(
  encoder: Network,
  model: Model,
  image: Pixels,
  [, channels, height, width]: LatentShape,
  circular: boolean,
): Promise<Float32Array> {
  const sums = new Float32Array(channels * height * width);
  const weights = new Float32Array(height * width);
  const [h, w] = [Math.min(TILE_CELLS, height), Math.min(TILE_CELLS, width)];
  const tile = { width: w * CELL_PIXELS, height: h * CELL_PIXELS };
  for (const top of tileStarts(height, circular)) {
    for (const left of tileStarts(width, circular)) {
      const corner = [top * CELL_PIXELS, left * CELL_PIXELS] as const;
      const data = cut(image.data, [3, image.height, image.width], corner, [
        tile.height,
        tile.width,
      ]);
      const latent = await encodeWhole(encoder, model, { ...tile, data });
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++) {
          const weight = ramp(y, h) * ramp(x, w);
          const target = ((top + y) % height) * width + ((left + x) % width);
          weights[target]! += weight;
          for (let c = 0; c < channels; c++) {
            sums[c * height * width + target]! += weight * latent[(c * h + y) * w + x]!;
          }
        }
      }
    }
  }
  for (let i = 0; i < sums.length; i++) sums[i]! /= weights[i % weights.length]!;
  return sums;
}
