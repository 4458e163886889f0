import { boxBlur } from './box-blur.ts';
import { DECODE_LIMITS, toImageError } from './decode.ts';
import type { Raster } from './raster.ts';
import { sharp } from './sharp.ts';

/** Longest side of the plane that is looked at: a mask is soft, and a pass stretches it. */
const MAX_SIDE = 512;
/** Surroundings of a pixel: standard deviation as a share of the longest side. */
const SURROUNDINGS = 1 / 24;
/** Blur of the finished mask, as a share of the longest side. */
const SOFTNESS = 1 / 160;
/** Shares of the pixels that are below the mask's black and at its white. */
const BLACK_SHARE = 0.7;
const WHITE_SHARE = 0.93;
/** How much being bright counts beside being brighter than the surroundings. */
const BRIGHTNESS_WEIGHT = 0.35;

/**
 * Returns a mask of the highlights of a picture: white where it is bright and brighter than around.
 *
 * @param bytes  PNG, JPEG, WebP or GIF
 * @returns one channel, the picture's shape, at most 512 pixels long
 * @throws ImageError `UNSUPPORTED_FORMAT`, `CORRUPT_IMAGE`, `IMAGE_TOO_LARGE`
 */
export async function maskHighlights(bytes: Uint8Array): Promise<Raster> {
  const light = await readLight(bytes);
  const { width, height } = light;
  const longest = Math.max(width, height);
  const around = boxBlur(light, longest * SURROUNDINGS);
  const scores = Float32Array.from(
    light.data,
    (value, i) => value - around.data[i]! + BRIGHTNESS_WEIGHT * value,
  );
  const sorted = scores.toSorted();
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!;
  const black = at(BLACK_SHARE);
  const span = Math.max(1, at(WHITE_SHARE) - black);
  const data = Uint8Array.from(scores, (score) => {
    const share = Math.min(1, Math.max(0, (score - black) / span));
    return Math.round(255 * share * share * (3 - 2 * share));
  });
  return boxBlur({ width, height, channels: 1, data }, longest * SOFTNESS);
}

/** The picture in grey, no longer than `MAX_SIDE`; transparent parts are black. */
async function readLight(bytes: Uint8Array): Promise<Raster> {
  try {
    const { data, info } = await sharp(bytes, {
      limitInputPixels: DECODE_LIMITS.maxPixels,
      failOn: 'error',
      pages: 1,
      autoOrient: true,
    })
      .timeout({ seconds: DECODE_LIMITS.timeoutSeconds })
      .resize({ width: MAX_SIDE, height: MAX_SIDE, fit: 'inside', withoutEnlargement: true })
      .flatten()
      .greyscale()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const plane = new Uint8Array(info.width * info.height);
    for (let i = 0; i < plane.length; i++) plane[i] = data[i * info.channels]!;
    return { width: info.width, height: info.height, channels: 1, data: plane };
  } catch (error) {
    throw toImageError(error);
  }
}
