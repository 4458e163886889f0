/** From a mask's file to what is drawn and what is pasted. */
import { growToAspect, maskBox } from '../../images/crop-region.ts';
import { decodeImage } from '../../images/decode.ts';
import { blurMask } from '../../images/gaussian-blur.ts';
import { invertMask, maskFromImage, overlayMask } from '../../images/mask.ts';
import { type Box, cropRaster, type Raster } from '../../images/raster.ts';
import { type ResizeMode, resizeRaster } from '../../images/resize.ts';
import type { Img2ImgJob, MaskUse } from '../job.ts';

/** `resize_mode` of a mask; 3, which resizes the latent of a picture, is as 2. */
export const RESIZE_MODES: Readonly<Record<Img2ImgJob['resizeMode'], ResizeMode>> = {
  0: 'stretch',
  1: 'crop',
  2: 'fill',
  3: 'fill',
};

/** Where a mask lies; see `PreparedMask`. */
export interface PlacedMask {
  drawn: Raster;
  overlay: Raster;
  box: Box | null;
}

/**
 * Returns a mask of one channel, inverted and blurred as the job wants it.
 *
 * @param picture  first init image; where the masked area alone is drawn, a mask of another size is
 *   stretched to its size, because it says where in the picture something is
 * @throws ImageError
 */
export async function readMask(use: MaskUse, picture: Raster): Promise<Raster> {
  const read = maskFromImage(await decodeImage(use.image), use.rounds);
  const sized = use.onlyMasked
    ? resizeRaster(read, picture.width, picture.height, 'stretch')
    : read;
  return blurMask(use.inverts ? invertMask(sized) : sized, use.blurX, use.blurY);
}

/**
 * Brings a mask to the job's size.
 *
 * @param mask     one channel; not changed
 * @param picture  first init image
 * @returns null where the masked area alone is to be drawn and there is none
 */
export function placeMask(
  mask: Raster,
  job: Img2ImgJob,
  use: MaskUse,
  picture: Raster,
): PlacedMask | null {
  if (!use.onlyMasked) {
    const drawn = resizeRaster(mask, job.width, job.height, RESIZE_MODES[job.resizeMode]);
    return { drawn, overlay: overlayMask(drawn), box: null };
  }
  const tight = maskBox(mask, use.padding);
  if (tight === null) return null;
  const box = growToAspect(tight, job, picture);
  const drawn = resizeRaster(cropRaster(mask, box), job.width, job.height, 'fill');
  return { drawn, overlay: mask, box };
}

/** Returns a mask for the latent alone, at the job's size. @throws ImageError */
export async function readLatentMask(file: Uint8Array, job: Img2ImgJob): Promise<Raster> {
  const mask = maskFromImage(await decodeImage(file), true);
  return resizeRaster(mask, job.width, job.height, 'stretch');
}
