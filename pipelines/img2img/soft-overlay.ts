/** Soft inpainting's paste: what shows of a result is where its latent differs from the picture's. */
import { boxBlur } from '../../images/box-blur.ts';
import { blankRaster, pasteRaster, type Raster } from '../../images/raster.ts';
import { resizeRaster } from '../../images/resize.ts';
import type { Img2ImgJob, SoftInpainting } from '../job.ts';
import { countValues, type Latent } from '../sampling/latents.ts';
import type { SampleInit } from '../sampling/sample-request.ts';
import type { PreparedPictures } from './prepare-pictures.ts';
import { filterByRank, type Plane } from './rank-filter.ts';

/** Shares of the sorted neighbourhood that are averaged: first the largest, then the middle. */
const SPREAD_RANKS = [0.9, 1] as const;
const SMOOTH_RANKS = [0.25, 0.75] as const;
/** Standard deviation of the blur that takes the cells' edges out of the overlay, in pixels. */
const EDGE_BLUR = 4;
/** Keeps a threshold of 0 and a mask of 1 from dividing by 0. */
const EPSILON = 1e-5;

/**
 * Returns what of one result shows, 255 = the result.
 *
 * @param latent  of the batch the result is in, before it was decoded
 * @param image   0-based, in that batch
 * @returns one channel, as large as the originals; undefined where the job is not soft
 */
export function softOverlay(
  job: Img2ImgJob,
  { mask }: PreparedPictures,
  init: SampleInit,
  latent: Latent,
  image: number,
): Raster | undefined {
  const soft = mask?.use.soft;
  if (!soft || !init.mask) return undefined;
  const distance = measureDistance(latent, init.latent, image);
  const smooth = filterByRank(filterByRank(distance, SPREAD_RANKS), SMOOTH_RANKS);
  const covered = resizeRaster(cover(smooth, init.mask, soft), job.width, job.height, 'fill');
  const blurred = boxBlur(covered, EDGE_BLUR);
  const { width, height } = mask.originals[0] as Raster;
  if (mask.box === null) return resizeRaster(blurred, width, height, 'stretch');
  const { x1, y1, x2, y2 } = mask.box;
  const overlay = blankRaster(width, height, 1);
  pasteRaster(overlay, resizeRaster(blurred, x2 - x1, y2 - y1, 'crop'), x1, y1);
  return overlay;
}

/** Euclidean distance of two latents over their channels, per cell. */
function measureDistance(a: Latent, b: Latent, image: number): Plane {
  const [, channels, height, width] = a.shape;
  const cells = height * width;
  const begin = image * countValues([channels, height, width]);
  const data = new Float32Array(cells);
  for (let i = 0; i < cells; i++) {
    let squares = 0;
    for (let c = 0; c < channels; c++) {
      const at = begin + c * cells + i;
      squares += (a.data[at]! - b.data[at]!) ** 2;
    }
    data[i] = Math.sqrt(squares);
  }
  return { width, height, data };
}

/** 0 where nothing changed, 255 where much did; half of it at the threshold. */
function cover({ width, height, data }: Plane, mask: Latent, soft: SoftInpainting): Raster {
  const covered = blankRaster(width, height, 1);
  for (let i = 0; i < data.length; i++) {
    const share = Math.min(1, Math.max(0, mask.data[i]!));
    const kept = 1 - share ** (soft.preservationStrength / 2);
    const weight = 0.5 * (1 - soft.maskInfluence) + kept * soft.maskInfluence;
    const half = soft.differenceThreshold * (weight / (1 + EPSILON - weight));
    const ratio = data[i]! / Math.max(half, EPSILON);
    const original = smootherStep(1 / (1 + ratio ** soft.differenceContrast));
    covered.data[i] = Math.trunc(255 * (1 - original));
  }
  return covered;
}

/** Perlin 2002: 0 … 1 with first and second derivative 0 at both ends. */
function smootherStep(x: number): number {
  return x ** 3 * (x * (x * 6 - 15) + 10);
}
