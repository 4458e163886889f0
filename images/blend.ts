import { ImageError } from './errors.ts';
import type { Raster } from './raster.ts';

/**
 * Returns two pictures of one size mixed, cut off to whole values as Pillow's `blend` does.
 *
 * @param share  of the second, 0 … 1
 * @throws ImageError `INVALID_ARGUMENT` when the sizes differ
 */
export function blendRasters(first: Raster, second: Raster, share: number): Raster {
  if (first.data.length !== second.data.length || first.width !== second.width) {
    throw new ImageError(
      'INVALID_ARGUMENT',
      `Expected ${first.width}x${first.height} for the second picture but received ${second.width}x${second.height}.`,
    );
  }
  const data = new Uint8Array(first.data.length);
  const exact = Math.fround(share);
  for (let i = 0; i < data.length; i++) {
    // In single precision, as Pillow computes it.
    const change = Math.fround(exact * (second.data[i]! - first.data[i]!));
    data[i] = Math.trunc(Math.fround(first.data[i]! + change));
  }
  return { ...first, data };
}
