/** Latents to pictures, whole or, where memory asks for it, in tiles. */
import type { RgbImage } from '../images/rgb-image.ts';
import { pictureTileFeed } from '../networks/onnx/tiles.ts';
import type { Network, TensorData } from '../networks/session.ts';
import { assertFinite } from './errors.ts';
import type { HyperTile } from './hyper-tile/hyper-tile.ts';
import type { Model } from './model/model.ts';
import { countValues, type Latent } from './sampling/latents.ts';

/** Pixels per side of a latent cell. */
export const CELL_PIXELS = 8;

/**
 * Activations alive at once at the decoder's widest place, in full-size feature maps of its first
 * level; measured at 512x512 and 1024x1024 with a real-width decoder (peak growth / map size).
 */
const MAPS_ALIVE = 8;
const BYTES_PER_VALUE = 4;
/** Share of the memory that is free that a decode may take. */
const MEMORY_SHARE = 0.7;
/** Tile side and overlap in latent cells; normalisation is per tile, so overlaps are wide. */
export const TILE_CELLS = 64;
export const OVERLAP_CELLS = 16;

/**
 * Returns whether the VAE may process a picture whole; its two halves are alike.
 *
 * @param pixels    of the picture
 * @param maxBytes  memory that may be taken; default a share of what is free
 */
export function fitsMemory(model: Model, pixels: number, maxBytes?: number): boolean {
  const needed = pixels * model.vae.channels * MAPS_ALIVE * BYTES_PER_VALUE;
  return needed <= (maxBytes ?? process.availableMemory() * MEMORY_SHARE);
}

/**
 * Decodes a batch, one picture at a time.
 *
 * @param latent  f32 [b, 4, h, w]; not changed
 * @param options `maxBytes`: memory a whole decode may take; default a share of what is free.
 *   `hyperTile`: draws the tiles that attention runs in
 * @returns b pictures of 8h x 8w
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function decodeLatent(
  model: Model,
  latent: Latent,
  options: { circular?: boolean; maxBytes?: number; hyperTile?: HyperTile | null } = {},
): Promise<RgbImage[]> {
  const hyperTile = options.hyperTile?.tilesDecoder ? options.hyperTile : null;
  const network = await model.decoder(options.circular ?? false, hyperTile !== null);
  const decoder = { network, hyperTile };
  const [batch, channels, height, width] = latent.shape;
  const size = countValues([channels, height, width]);
  const isWhole =
    fitsMemory(model, height * width * CELL_PIXELS ** 2, options.maxBytes) ||
    Math.max(height, width) <= TILE_CELLS;
  const images: RgbImage[] = [];
  for (let b = 0; b < batch; b++) {
    const one = latent.data.subarray(b * size, (b + 1) * size);
    const shape = [channels, height, width] as const;
    images.push(
      isWhole
        ? await decodeWhole(decoder, model, one, shape)
        : await decodeTiled(decoder, model, one, shape, options.circular ?? false),
    );
  }
  return images;
}

type ImageShape = readonly [channels: number, height: number, width: number];

/** A network, and what draws its tiles; null for none. */
interface Decoder {
  network: Network;
  hyperTile: HyperTile | null;
}

async function decodeWhole(
  { network, hyperTile }: Decoder,
  model: Model,
  latent: Float32Array,
  shape: ImageShape,
): Promise<RgbImage> {
  const feeds: Record<string, TensorData> = {
    latent: { type: 'float32', data: latent, shape: [1, ...shape] },
    ...(hyperTile && pictureTileFeed(hyperTile.drawDecoder(shape[1], shape[2]))),
  };
  const { rgb, sum } = await network.run(feeds, ['rgb', 'sum']);
  assertFinite('VAE decoder', model.checkpoint.name, sum?.data as Float32Array);
  return {
    width: shape[2] * CELL_PIXELS,
    height: shape[1] * CELL_PIXELS,
    rgb: rgb?.data as Uint8Array,
  };
}

/**
 * Where tiles start along a side. The last one ends at the edge or, in a circle, goes on at the
 * other edge.
 */
export function tileStarts(cells: number, circular: boolean): number[] {
  if (cells <= TILE_CELLS) return [0];
  const stride = TILE_CELLS - OVERLAP_CELLS;
  const starts: number[] = [];
  for (let at = 0; at + (circular ? 0 : TILE_CELLS) < cells; at += stride) starts.push(at);
  if (!circular) starts.push(cells - TILE_CELLS);
  return starts;
}

/** Weight of a pixel in its tile: rises from the tile's edges over the overlap. */
function ramp(at: number, length: number): number {
  const edge = Math.min(at + 1, length - at);
  return Math.min(1, edge / (OVERLAP_CELLS * CELL_PIXELS));
}

async function decodeTiled(
  decoder: Decoder,
  model: Model,
  latent: Float32Array,
  shape: ImageShape,
  circular: boolean,
): Promise<RgbImage> {
  const [channels, height, width] = shape;
  const [pixelWidth, pixelHeight] = [width * CELL_PIXELS, height * CELL_PIXELS];
  const sums = new Float32Array(pixelWidth * pixelHeight * 3);
  const weights = new Float32Array(pixelWidth * pixelHeight);
  const [h, w] = [Math.min(TILE_CELLS, height), Math.min(TILE_CELLS, width)];
  for (const top of tileStarts(height, circular)) {
    for (const left of tileStarts(width, circular)) {
      const tile = cut(latent, shape, [top, left], [h, w]);
      const image = await decodeWhole(decoder, model, tile, [channels, h, w]);
      for (let y = 0; y < image.height; y++) {
        const row = ((top * CELL_PIXELS + y) % pixelHeight) * pixelWidth;
        for (let x = 0; x < image.width; x++) {
          const weight = ramp(y, image.height) * ramp(x, image.width);
          const target = row + ((left * CELL_PIXELS + x) % pixelWidth);
          const source = (y * image.width + x) * 3;
          weights[target]! += weight;
          for (let c = 0; c < 3; c++) sums[target * 3 + c]! += weight * image.rgb[source + c]!;
        }
      }
    }
  }
  const rgb = new Uint8Array(sums.length);
  for (let i = 0; i < rgb.length; i++) rgb[i] = Math.round(sums[i]! / weights[Math.floor(i / 3)]!);
  return { width: pixelWidth, height: pixelHeight, rgb };
}

/** Copies a tile out of planes of f32; past an edge it goes on at the other one. */
export function cut(
  latent: Float32Array,
  [channels, height, width]: ImageShape,
  [top, left]: readonly [number, number],
  [h, w]: readonly [number, number],
): Float32Array {
  const out = new Float32Array(channels * h * w);
  const first = Math.min(w, width - left);
  for (let c = 0; c < channels; c++) {
    for (let y = 0; y < h; y++) {
      const row = (c * height + ((top + y) % height)) * width;
      const target = (c * h + y) * w;
      out.set(latent.subarray(row + left, row + left + first), target);
      out.set(latent.subarray(row, row + w - first), target + first);
    }
  }
  return out;
}
