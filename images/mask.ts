import { ImageError } from './errors.ts';
import type { Raster } from './raster.ts';

/** Alpha above which a pixel of a transparent mask counts, 0-255. */
const ALPHA_THRESHOLD = 128;

/**
 * Returns a mask (one channel, 255 = repaint) from a decoded picture: alpha where the picture is transparent
 * somewhere, else luminance (ITU-R 601, as Pillow rounds it).
 *
 * @param image   3 channels, or 4 when some pixel is transparent
 * @param rounds  the request's `mask_round`: makes alpha all or nothing. Luminance is never rounded here
 */
export function maskFromImage(image: Raster, rounds: boolean): Raster {
  const { width, height, channels, data } = image;
  if (channels !== 3 && channels !== 4) {
    throw new ImageError(
      'INVALID_ARGUMENT',
      `Expected 3 or 4 channels for mask but received ${channels}.`,
    );
  }
  const mask = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < mask.length; i++, at += channels) {
    if (channels === 4) {
      const alpha = data[at + 3]!;
      mask[i] = rounds ? (alpha > ALPHA_THRESHOLD ? 255 : 0) : alpha;
    } else {
      const [r, g, b] = [data[at]!, data[at + 1]!, data[at + 2]!];
      mask[i] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
    }
  }
  return { width, height, channels: 1, data: mask };
}

/** Returns the mask with painted and kept areas exchanged. */
export function invertMask(mask: Raster): Raster {
  return { ...mask, data: mask.data.map((value) => 255 - value) };
}

/** Returns the mask that decides what is pasted back over a whole picture: twice the mask, at most 255. */
export function overlayMask(mask: Raster): Raster {
  return { ...mask, data: mask.data.map((value) => Math.min(255, 2 * value)) };
}

/**
 * Lays the unmasked part of the original over a result: result where the mask is 255, original where it is 0,
 * in between in proportion.
 *
 * @param result    three channels; not changed
 * @param original  three channels, same size
 * @param mask      one channel, same size; see `overlayMask`
 */
export function pasteUnmasked(result: Raster, original: Raster, mask: Raster): Raster {
  const data = new Uint8Array(result.data.length);
  for (let i = 0; i < data.length; i++) {
    const share = mask.data[Math.floor(i / 3)]!;
    data[i] = Math.round((result.data[i]! * share + original.data[i]! * (255 - share)) / 255);
  }
  return { ...result, data };
}

/** Returns a mask as a grey picture of three channels. */
export function spreadMask({ width, height, data }: Raster): Raster {
  const rgb = new Uint8Array(data.length * 3);
  for (let i = 0; i < rgb.length; i++) rgb[i] = data[Math.floor(i / 3)]!;
  return { width, height, channels: 3, data: rgb };
}
