/** HyperTile in a job: whose attention runs in tiles, and which tiles each run draws. */
import type { TiledLayer, Tiling } from '../../networks/onnx/tiles.ts';
import type { HyperTileOptions, TileOptions } from '../job-options.ts';
import { PythonRandom } from '../sampling/python-random.ts';
import { depthOf } from './layers.ts';
import { guessSides, largestTile, listParts } from './split-sides.ts';

/** Tiles are never smaller, pixels. */
const MIN_TILE = 128;
const CELL_PIXELS = 8;

/** Sides in pixels. */
interface Size {
  width: number;
  height: number;
}

/** What a run of the UNet works on. */
export interface TiledRun {
  /** Cells of the latent. */
  height: number;
  width: number;
  /** Tokens that are merged before attention where none was halved. */
  merged: number;
  /** Whether the checkpoint is SDXL or its refiner. */
  isXl: boolean;
}

/**
 * The tiles of one job. They are drawn from one generator, in the order of the runs, so that a job draws
 * the same picture each time.
 *
 * In the web UI the first passes of later iterations run with the second pass's tiles; here each pass
 * has its own, whatever the iteration.
 */
export class HyperTile {
  readonly #options: HyperTileOptions;
  readonly #seed: number;
  #random: PythonRandom;
  #size: Size;
  #isSecond = false;

  /**
   * @param seed  of the job's first picture
   * @param size  pixels of the first pass
   */
  constructor(options: HyperTileOptions, seed: number, size: Size) {
    this.#options = options;
    this.#seed = seed;
    this.#random = new PythonRandom(seed);
    this.#size = size;
  }

  /** Whether the decoder runs in tiles. */
  get tilesDecoder(): boolean {
    return this.#options.vae.isEnabled;
  }

  /** Whether the UNet's self-attention runs in tiles in a job: in one of its passes is enough. */
  tilesUnet(hasSecondPass: boolean): boolean {
    const { isEnabled, inSecondPass } = this.#options.unet;
    return isEnabled || (hasSecondPass && inSecondPass);
  }

  /** Begins the first pass of an iteration. */
  beginFirst(size: Size): void {
    this.#size = size;
    this.#isSecond = false;
  }

  /** Begins the second pass of an iteration: tiles of the UNet are drawn as if it were the first. */
  beginSecond(size: Size): void {
    this.#size = size;
    this.#isSecond = true;
    if (this.tilesUnet(true)) this.#random = new PythonRandom(this.#seed);
  }

  /** Draws the tiles of one run of the UNet, layer by layer; null for a layer that has none. */
  drawUnet(layers: readonly TiledLayer[], run: TiledRun): (Tiling | null)[] {
    const { unet } = this.#options;
    if (!(unet.isEnabled || (this.#isSecond && unet.inSecondPass))) return layers.map(() => null);
    const { width, height } = this.#size;
    return layers.map(({ name, level }) => {
      const depth = depthOf(name, run.isXl);
      if (depth === null || depth > unet.maxDepth) return null;
      const cells = countCells(run, level) - (level === 0 ? run.merged : 0);
      const [rows, columns] = guessSides(cells, width / height);
      return this.#draw(rows, columns, unet, 2 ** depth);
    });
  }

  /**
   * Draws the tiles of one run of the decoder.
   *
   * @param height, width  cells of the latent
   */
  drawDecoder(height: number, width: number): Tiling {
    return this.#draw(height, width, this.#options.vae, 1);
  }

  #draw(height: number, width: number, { maxTile, swapSize }: TileOptions, factor: number): Tiling {
    const { width: fullWidth, height: fullHeight } = this.#size;
    const side = Math.max(MIN_TILE, Math.min(largestTile(fullWidth, fullHeight), maxTile));
    const minimum = Math.floor(side / CELL_PIXELS) * factor;
    const pick = (length: number) => {
      const parts = listParts(length, minimum, Math.max(1, swapSize));
      return parts[this.#random.below(parts.length)] as number;
    };
    const [rows, columns] = [pick(height), pick(width)];
    return { height: height / rows, width: width / columns, rows, columns };
  }
}

/** Cells of a latent whose sides were halved some times, each time rounded up. */
function countCells({ height, width }: TiledRun, level: number): number {
  const halved = (side: number) => Math.ceil(side / 2 ** level);
  return halved(height) * halved(width);
}

/**
 * Returns the tiles of a job; null when its options ask for none.
 *
 * @param job  with the seed of its first picture and the size of its first pass
 */
export function createHyperTile(
  job: Size & { seed: number; options: { hyperTile: HyperTileOptions } },
): HyperTile | null {
  const { unet, vae } = job.options.hyperTile;
  if (!unet.isEnabled && !unet.inSecondPass && !vae.isEnabled) return null;
  return new HyperTile(job.options.hyperTile, job.seed, job);
}
