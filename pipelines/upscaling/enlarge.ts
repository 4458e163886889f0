/** A picture to a size with an upscaler, in the steps of the web UI. */
import type { Raster } from '../../images/raster.ts';
import { LANCZOS, resample } from '../../images/resample.ts';
import { resampleNearest } from '../../images/resample-nearest.ts';
import type { UpscalerRef, UpscaleTiles } from '../job.ts';
import { runUpscaler, type UpscaleWatch } from './run-model.ts';
import type { LoadedUpscaler } from './upscalers.ts';

/** Sides of results are multiples of this. */
const SIDE_UNIT = 8;
/** Passes of a model that a large factor may take. */
const MAX_PASSES = 3;

/** How an upscaler is run. */
export interface EnlargeContext {
  /** Opens a model's file. */
  open(path: string): Promise<LoadedUpscaler>;
  tiles: UpscaleTiles;
  watch: UpscaleWatch;
}

/**
 * Returns the picture `factor` times as large, sides rounded down to multiples of 8.
 *
 * A model runs up to three times, until both sides are reached; Lanczos brings the result to its size.
 * When the work is stopped, Lanczos does the rest.
 *
 * @param image   three channels; not changed
 * @param factor  above 0
 * @throws CheckpointError, SessionError, PipelineError NON_FINITE
 */
export async function enlargeBy(
  image: Raster,
  factor: number,
  upscaler: UpscalerRef,
  context: EnlargeContext,
): Promise<Raster> {
  const [width, height] = [image.width, image.height].map((side) => snapSide(side * factor)) as [
    number,
    number,
  ];
  let current = image;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    if (current.width >= width && current.height >= height && factor !== 1) break;
    const next = await runOnce(current, factor, upscaler, context);
    const isSame = next?.width === current.width && next.height === current.height;
    if (next === null) break;
    current = next;
    if (isSame) break;
  }
  return bringTo(current, width, height);
}

/**
 * Returns the picture at exactly a size: enlarged until it covers it where it is smaller, then Lanczos.
 *
 * @throws as `enlargeBy`
 */
export async function enlargeTo(
  image: Raster,
  width: number,
  height: number,
  upscaler: UpscalerRef,
  context: EnlargeContext,
): Promise<Raster> {
  const factor = Math.max(width / image.width, height / image.height);
  const isLarger = factor > 1 && upscaler.kind !== 'none';
  const larger = isLarger ? await enlargeBy(image, factor, upscaler, context) : image;
  return bringTo(larger, width, height);
}

/** A side as the web UI rounds it; never 0, which no picture can have. */
export function snapSide(side: number): number {
  return Math.max(SIDE_UNIT, Math.floor(side / SIDE_UNIT) * SIDE_UNIT);
}

function bringTo(image: Raster, width: number, height: number): Raster {
  if (image.width === width && image.height === height) return image;
  return resample(image, width, height, LANCZOS);
}

async function runOnce(
  image: Raster,
  factor: number,
  { kind, path }: UpscalerRef,
  { open, tiles, watch }: EnlargeContext,
): Promise<Raster | null> {
  const [width, height] = [image.width, image.height].map((side) =>
    Math.max(1, Math.trunc(side * factor)),
  ) as [number, number];
  switch (kind) {
    case 'none':
      return image;
    case 'lanczos':
      return resample(image, width, height, LANCZOS);
    case 'nearest':
      return resampleNearest(image, width, height);
    case 'model':
      return runUpscaler(await open(path ?? ''), image, tiles, watch);
  }
}
