/** What upscaling may come to, in pixels; checked before anything is decoded. */
import { HttpError } from './errors.ts';
import { MAX_REQUEST_PIXELS } from './limits.ts';

/**
 * Pixels that a model may give in one pass: 400 MB of RGB. A picture of 2896 x 2896 reaches it at
 * factor 4, whatever size it is brought to afterwards.
 */
export const MAX_UPSCALED_PIXELS = 128 * 1_024 * 1_024;
/** Passes of a model; see `pipelines/upscaling/enlarge.ts`. */
const MAX_PASSES = 3;

interface Size {
  width: number;
  height: number;
}

/**
 * Checks what enlarging one picture takes.
 *
 * @param size    of the picture
 * @param factor  times as large
 * @param scales  of the models that enlarge it
 * @returns pixels of the result
 * @throws HttpError LIMIT_EXCEEDED
 */
export function checkUpscale(size: Size, factor: number, scales: readonly number[]): number {
  const pixels = size.width * factor * (size.height * factor);
  if (pixels > MAX_REQUEST_PIXELS) {
    throw new HttpError(
      'LIMIT_EXCEEDED',
      `Expected at most ${MAX_REQUEST_PIXELS} pixels for the upscaled picture but ` +
        `${size.width}x${size.height} x ${factor} has ${Math.round(pixels)}.`,
    );
  }
  for (const scale of scales) {
    let reached = 1;
    for (let pass = 0; pass < MAX_PASSES && reached < factor && scale > 1; pass++) {
      reached *= scale;
      const peak = size.width * size.height * reached ** 2;
      if (peak > MAX_UPSCALED_PIXELS) {
        throw new HttpError(
          'LIMIT_EXCEEDED',
          `Expected at most ${MAX_UPSCALED_PIXELS} pixels from the upscaler's model but ` +
            `${size.width}x${size.height} x ${reached} has ${peak}; take a smaller picture or model.`,
        );
      }
    }
  }
  return pixels;
}
