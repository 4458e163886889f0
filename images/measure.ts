import { DECODE_LIMITS, toImageError } from './decode.ts';
import { ImageError } from './errors.ts';
import { sharp } from './sharp.ts';

/**
 * Returns the sides of a PNG, JPEG, WebP or GIF as they will be when it is decoded, EXIF orientation
 * applied, and which of them it is, as in `image/…`. Reads the header only.
 *
 * @throws ImageError `UNSUPPORTED_FORMAT`, `CORRUPT_IMAGE`, `IMAGE_TOO_LARGE`
 */
export async function measureImage(
  bytes: Uint8Array,
): Promise<{ width: number; height: number; format: string }> {
  try {
    const { maxPixels } = DECODE_LIMITS;
    const options = { limitInputPixels: maxPixels, failOn: 'error', pages: 1 } as const;
    const { autoOrient, format } = await sharp(bytes, options).metadata();
    const { width, height } = autoOrient;
    if (width * height > maxPixels) {
      throw new ImageError(
        'IMAGE_TOO_LARGE',
        `Expected a picture of at most ${maxPixels} pixels but received a ${format} of ${width}x${height}.`,
      );
    }
    return { width, height, format };
  } catch (error) {
    throw error instanceof ImageError ? error : toImageError(error);
  }
}
