import { DECODE_LIMITS, toImageError } from './decode.ts';
import { sharp } from './sharp.ts';

/**
 * Returns the sides of a picture as it is shown, EXIF orientation applied, from its header alone.
 *
 * @throws ImageError `UNSUPPORTED_FORMAT`, `CORRUPT_IMAGE`, `IMAGE_TOO_LARGE`
 */
export async function readImageSize(bytes: Uint8Array): Promise<{ width: number; height: number }> {
  try {
    const { autoOrient } = await sharp(bytes, {
      limitInputPixels: DECODE_LIMITS.maxPixels,
      failOn: 'error',
      pages: 1,
    }).metadata();
    return { width: autoOrient.width, height: autoOrient.height };
  } catch (error) {
    throw toImageError(error);
  }
}
