import { boxBlur } from './box-blur.ts';
import { blankRaster, type Raster } from './raster.ts';

/** Radii of the blurs, and how often each is laid over what is there. */
const LAYERS = [
  [256, 1],
  [64, 1],
  [16, 2],
  [4, 4],
  [2, 2],
  [0, 1],
] as const;

/**
 * Returns a picture whose masked area is filled with the colours around it: the rest of the picture, blurred
 * less and less, laid over itself.
 *
 * @param image  three channels; not changed
 * @param mask   one channel, same size, 255 = to be filled; not changed
 */
export function fillMasked(image: Raster, mask: Raster): Raster {
  const { width, height } = image;
  // Premultiplied, so that a blur carries no colour of what is cut out.
  const rest = blankRaster(width, height, 4);
  for (let i = 0; i < mask.data.length; i++) {
    const alpha = 255 - mask.data[i]!;
    for (let c = 0; c < 3; c++)
      rest.data[i * 4 + c] = Math.round((image.data[i * 3 + c]! * alpha) / 255);
    rest.data[i * 4 + 3] = alpha;
  }
  // Colours premultiplied by the alpha they are laid at; nothing is there yet.
  const filled = new Float64Array(width * height * 4);
  for (const [radius, repeats] of LAYERS) {
    const { data } = boxBlur(rest, radius);
    for (let layer = 0; layer < repeats; layer++) {
      for (let i = 0; i < filled.length; i += 4) {
        const behind = 1 - data[i + 3]! / 255;
        for (let c = 0; c < 4; c++) filled[i + c] = data[i + c]! + filled[i + c]! * behind;
      }
    }
  }
  const target = blankRaster(width, height, 3);
  for (let i = 0; i < mask.data.length; i++) {
    const alpha = filled[i * 4 + 3]!;
    if (alpha === 0) continue;
    for (let c = 0; c < 3; c++)
      target.data[i * 3 + c] = Math.min(255, Math.round((filled[i * 4 + c]! * 255) / alpha));
  }
  return target;
}
