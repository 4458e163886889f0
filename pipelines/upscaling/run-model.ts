/** A picture through an upscaler model, in tiles. */
import { setImmediate } from 'node:timers/promises';
import { cropRaster, type Raster } from '../../images/raster.ts';
import { mapTiles } from '../../images/tile-grid.ts';
import { assertFinite } from '../errors.ts';
import type { UpscaleTiles } from '../job.ts';
import type { LoadedUpscaler } from './upscalers.ts';

/** Smaller tiles would be all overlap, and millions of them. */
const MIN_TILE = 32;
/** The smallest that memory may force; at factor 4 and 64 channels about 70 MB. */
const MIN_FORCED_TILE = 64;
/** Full-size feature maps alive at once where the network is widest. */
const MAPS_ALIVE = 4;
const BYTES_PER_VALUE = 4;
/** Share of the memory that is free that a tile may take. */
const MEMORY_SHARE = 0.5;

/** What a run tells and asks. */
export interface UpscaleWatch {
  /** Called before each tile. */
  onTile(index: number, count: number): void;
  shouldStop(): boolean;
}

/**
 * Returns a picture enlarged by a model's own factor.
 *
 * The web UI hands its models blue for red and red for blue; here they get the colours that they were
 * trained with.
 *
 * @param image  three channels; not changed
 * @param tiles  as asked for; smaller ones are taken where memory asks for it
 * @returns null when it was stopped
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function runUpscaler(
  loaded: LoadedUpscaler,
  image: Raster,
  tiles: UpscaleTiles,
  watch: UpscaleWatch,
): Promise<Raster | null> {
  const { width, height, overlap } = chooseTiles(loaded, image, tiles);
  return mapTiles(image, { width, height, overlap }, async (tile, index, count) => {
    watch.onTile(index, count);
    // Lets interrupt in: a run of a network blocks everything else.
    await setImmediate();
    return watch.shouldStop() ? null : runTile(loaded, tile);
  });
}

/** Tile sides for a picture; `size` 0 is one tile for all of it, as far as memory goes. */
function chooseTiles({ config }: LoadedUpscaler, image: Raster, { size, overlap }: UpscaleTiles) {
  const longest = Math.max(image.width, image.height);
  let side = size > 0 ? Math.max(size, MIN_TILE) : longest;
  const maxBytes = process.availableMemory() * MEMORY_SHARE;
  const bytesOf = (pixels: number) =>
    (pixels * config.scale) ** 2 * config.width * MAPS_ALIVE * BYTES_PER_VALUE;
  while (side > MIN_FORCED_TILE && bytesOf(Math.min(side, longest)) > maxBytes) {
    side = Math.max(MIN_FORCED_TILE, Math.floor(Math.min(side, longest) / 2));
  }
  const shared = Math.min(overlap, Math.floor(side / 2));
  const even = (length: number) => evenTile(length, side, shared, config.unshuffle);
  return { width: even(image.width), height: even(image.height), overlap: shared };
}

/**
 * The smallest tile that covers a side in no more tiles than the asked one: a side of 256 in tiles of
 * 192 becomes two of 132, which is half the work.
 */
function evenTile(length: number, side: number, overlap: number, unit: number): number {
  if (length <= side) return side;
  const count = Math.ceil((length - overlap) / (side - overlap));
  const tile = Math.ceil((length + (count - 1) * overlap) / count);
  return Math.min(side, Math.ceil(tile / unit) * unit);
}

async function runTile({ config, network, file }: LoadedUpscaler, tile: Raster): Promise<Raster> {
  const { unshuffle, scale } = config;
  const padded = padToMultiple(tile, unshuffle);
  const { width, height, data } = padded;
  const image = { type: 'uint8', data, shape: [1, height, width, 3] } as const;
  const { rgb, sum } = await network.run({ image }, ['rgb', 'sum']);
  assertFinite(
    'upscaler',
    file.path.slice(file.path.lastIndexOf('/') + 1),
    sum?.data as Float32Array,
  );
  const result = {
    width: width * scale,
    height: height * scale,
    channels: 3,
    data: rgb?.data as Uint8Array,
  };
  if (padded === tile) return result;
  return cropRaster(result, { x1: 0, y1: 0, x2: tile.width * scale, y2: tile.height * scale });
}

/** Mirrors a tile's last rows and columns until its sides are multiples of `unit`. */
function padToMultiple(tile: Raster, unit: number): Raster {
  const up = (side: number) => Math.ceil(side / unit) * unit;
  const [width, height] = [up(tile.width), up(tile.height)];
  if (width === tile.width && height === tile.height) return tile;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    const row = mirror(y, tile.height) * tile.width;
    for (let x = 0; x < width; x++) {
      const from = (row + mirror(x, tile.width)) * 3;
      for (let c = 0; c < 3; c++) data[to++] = tile.data[from + c]!;
    }
  }
  return { width, height, channels: 3, data };
}

/** Reflects without repeating the edge; a side of few pixels gives what it has. */
function mirror(at: number, size: number): number {
  return at < size ? at : Math.max(0, 2 * (size - 1) - at);
}
