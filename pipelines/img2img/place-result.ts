/** From a decoded picture back into the one it was made from. */
import { matchColors } from '../../images/color-match.ts';
import { pasteUnmasked, spreadMask } from '../../images/mask.ts';
import { blankRaster, pasteRaster, type Raster } from '../../images/raster.ts';
import { resizeRaster } from '../../images/resize.ts';
import type { RgbImage } from '../../images/rgb-image.ts';
import type { Img2ImgJob } from '../job.ts';
import type { PreparedPictures } from './prepare-pictures.ts';

/** A finished picture and what goes with it in the answer. */
export interface PlacedResult {
  picture: RgbImage;
  /** The mask, and the result where it is masked, as the job wants them; 3 or 4 channels. */
  extras: Raster[];
}

/**
 * Returns a result in the colours of its picture where the job wants that, and with everything that is
 * not masked as it was: pixels outside a mask are those of the picture, bit for bit.
 *
 * @param image     decoded, of about the job's size
 * @param index     of the picture that it was made from
 * @param overlay   what of it shows; default: the mask's own overlay
 */
export function placeResult(
  image: RgbImage,
  job: Img2ImgJob,
  { images, mask }: PreparedPictures,
  index: number,
  overlay = mask?.overlay,
): PlacedResult {
  let result: Raster = { ...image, channels: 3, data: image.rgb };
  if (job.correctsColors) result = matchColors(result, images[index] as Raster);
  if (mask === null || overlay === undefined) return { picture: toImage(result), extras: [] };
  const original = mask.originals[index] as Raster;
  const whole = mask.use.overlays ? placeInOriginal(result, original, mask.box) : result;
  const placed = mask.use.overlays ? pasteUnmasked(whole, original, overlay) : result;
  const extras: Raster[] = [];
  if (mask.use.returnsMask) extras.push(spreadMask(overlay));
  if (mask.use.returnsComposite)
    extras.push(withAlpha(whole, resizeRaster(overlay, whole.width, whole.height, 'fill')));
  return { picture: toImage(placed), extras };
}

function toImage({ width, height, data }: Raster): RgbImage {
  return { width, height, rgb: data };
}

/** The result at its place in a picture of the original's size. */
function placeInOriginal(
  result: Raster,
  { width, height }: Raster,
  box: NonNullable<PreparedPictures['mask']>['box'],
): Raster {
  // A side that is no multiple of 8 comes back from the latent a little shorter.
  if (box === null) return resizeRaster(result, width, height, 'stretch');
  const target = blankRaster(width, height, 3);
  const part = resizeRaster(result, box.x2 - box.x1, box.y2 - box.y1, 'crop');
  pasteRaster(target, part, box.x1, box.y1);
  return target;
}

/** A picture that is transparent where the mask is black. */
function withAlpha({ width, height, data }: Raster, mask: Raster): Raster {
  const rgba = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgba[i * 4 + c] = data[i * 3 + c]!;
    rgba[i * 4 + 3] = mask.data[i]!;
  }
  return { width, height, channels: 4, data: rgba };
}
