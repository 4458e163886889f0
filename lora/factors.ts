/** Low-rank modules as pairs of f32 factors: W + weight * scale * (up · down). */
import { quoteName } from '../networks/checkpoint/errors.ts';
import { LoraError } from './errors.ts';
import { type LoraFile, type LoraModule, readPart, readScale } from './file.ts';
import type { Layer } from './layers.ts';

/**
 * Largest rank. Trainers offer 128, a few 256; extracted differences reach the width of a layer,
 * 1280. Folding a core tensor costs rank² · in · kernel, so this also bounds the time of that.
 */
export const MAX_LORA_RANK = 2048;

/** One module's pair. */
export interface Factors {
  rank: number;
  /** f32 [rank, in * kernel]. */
  down: Float32Array;
  /** f32 [out, rank]. */
  up: Float32Array;
  /** alpha / rank, or what stands in its place. */
  scale: number;
}

/** Sizes of a low-rank module, by its shapes alone. */
export interface LowRankShape {
  rank: number;
  out: number;
  in: number;
  /** [kh, kw], or empty. */
  kernel: number[];
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/**
 * Returns what a module of kind `lora` changes, without reading data.
 *
 * @throws LoraError SHAPE_CONTRADICTION or RANK_TOO_LARGE
 */
export function lowRankShape(module: LoraModule): LowRankShape {
  const down = module.parts.get('down')?.shape ?? [];
  const up = module.parts.get('up')?.shape ?? [];
  const mid = module.parts.get('mid')?.shape;
  const [rank = 0, inner = 0, ...kernel] = down;
  const [out = 0, upRank = 0, ...upKernel] = up;
  const folds = mid ?? [rank, rank];
  const [midUp = 0, midDown = 0, ...midKernel] = folds;
  const isWhole =
    [2, 4].includes(down.length) &&
    [2, 4].includes(up.length) &&
    [2, 4].includes(folds.length) &&
    sizeOf(upKernel) === 1 &&
    (mid === undefined || sizeOf(kernel) === 1) &&
    upRank === midUp &&
    rank === midDown &&
    Math.min(rank, inner, out, midUp) > 0;
  if (!isWhole) {
    const shapes = [down, ...(mid ? [mid] : []), up].map((shape) => `[${shape.join(', ')}]`);
    throw new LoraError(
      'SHAPE_CONTRADICTION',
      `the factors ${shapes.join(' and ')} of ${quoteName(module.name)} do not fit together`,
    );
  }
  if (Math.max(rank, midUp) > MAX_LORA_RANK) {
    throw new LoraError(
      'RANK_TOO_LARGE',
      `${quoteName(module.name)} has rank ${Math.max(rank, midUp)} and at most ${MAX_LORA_RANK} is possible`,
    );
  }
  return { rank: midUp, out, in: inner, kernel: mid ? midKernel : kernel };
}

/**
 * Reads the factors of a module of kind `lora`. A core tensor (LoCon's `lora_mid`, CP
 * decomposition) is folded into `down`: down'[n, j, k] = Σ_m mid[n, m, k] · down[m, j].
 *
 * @throws LoraError SHAPE_CONTRADICTION, RANK_TOO_LARGE, NOT_FINITE; CheckpointError
 */
export function readFactors(lora: LoraFile, module: LoraModule): Factors {
  const { rank, in: inner } = lowRankShape(module);
  const down = readPart(lora, module, 'down') as Float32Array;
  const up = readPart(lora, module, 'up') as Float32Array;
  const mid = readPart(lora, module, 'mid');
  // alpha refers to the rows of `down` as written, with or without a core.
  const scale = readScale(lora, module, module.parts.get('down')?.shape[0] ?? rank);
  return { rank, down: mid ? foldCore(mid, down, rank, inner) : down, up, scale };
}

/** mid f32 [n, m, k], down f32 [m, j] → f32 [n, j, k]. */
export function foldCore(
  mid: Float32Array,
  down: Float32Array,
  n: number,
  j: number,
): Float32Array {
  const m = down.length / j;
  const k = mid.length / (n * m);
  const folded = new Float32Array(n * j * k);
  for (let row = 0; row < n; row++) {
    for (let r = 0; r < m; r++) {
      for (let column = 0; column < j; column++) {
        const factor = down[r * j + column] as number;
        const from = (row * m + r) * k;
        const to = (row * j + column) * k;
        for (let p = 0; p < k; p++) {
          folded[to + p] = (folded[to + p] as number) + factor * (mid[from + p] as number);
        }
      }
    }
  }
  return folded;
}

/** Input channels of the first convolution of an inpainting or instruct UNet hold 4 of latent. */
export const LATENT_CHANNELS = 4;

/**
 * Whether a module with so many numbers per row is for the 4 latent channels of a first convolution that
 * has more: the further ones are then left as they are, as in the web UI.
 *
 * @param columns  input channels times kernel
 */
export function isForLatentOnly(columns: number, { name, in: inner, kernel }: Layer): boolean {
  const isWide = name === 'input_blocks.0.0' && inner > LATENT_CHANNELS;
  return isWide && columns === LATENT_CHANNELS * sizeOf(kernel);
}

/** Whether sizes are a layer's; see `isForLatentOnly` for inpainting UNets. */
export function fitsLayer(shape: Omit<LowRankShape, 'rank'>, layer: Layer): boolean {
  const columns = shape.in * sizeOf(shape.kernel);
  return (
    shape.out === layer.out &&
    (shape.in === layer.in || isForLatentOnly(columns, layer)) &&
    // A Linear and a 1x1 convolution are the same numbers, and files have both for either.
    (sizeOf(shape.kernel) === 1
      ? sizeOf(layer.kernel) === 1
      : shape.kernel.join() === layer.kernel.join())
  );
}

/** Returns factors with `down` widened with zeros to a layer's input channels; else the same ones. */
export function widenFactors(factors: Factors, layer: Layer): Factors {
  const { rank, down } = factors;
  const wide = layer.in * sizeOf(layer.kernel);
  const narrow = down.length / rank;
  if (narrow === wide) return factors;
  const widened = new Float32Array(rank * wide);
  for (let r = 0; r < rank; r++) {
    widened.set(down.subarray(r * narrow, (r + 1) * narrow), r * wide);
  }
  return { ...factors, down: widened };
}
