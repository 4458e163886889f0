import { ImageError } from './errors.ts';

/** Opaque pixels: u8 `[height, width, 3]`, row by row from the top, sRGB 0-255. */
export interface RgbImage {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** Red, green, blue, each 0-255. */
export type RgbColor = readonly [number, number, number];

/**
 * Checks that the pixel buffer has the size that its sides announce.
 *
 * @throws ImageError `INVALID_ARGUMENT` for a side below 1 or a buffer of another length
 */
export function assertRgbImage(image: RgbImage): void {
  const { width, height, rgb } = image;
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new ImageError(
      'INVALID_ARGUMENT',
      `Expected integer sides of at least 1 for image but received ${width}x${height}.`,
    );
  }
  if (rgb.length !== width * height * 3) {
    throw new ImageError(
      'INVALID_ARGUMENT',
      `Expected ${width * height * 3} bytes for the pixels of a ${width}x${height} image but received ${rgb.length}.`,
    );
  }
}
