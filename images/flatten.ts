import type { Raster } from './raster.ts';
import type { RgbColor } from './rgb-image.ts';

/**
 * Returns a picture without transparency: what is behind shows through in proportion, rounded as Pillow's
 * `paste` does.
 *
 * @param image       3 channels (returned as it is) or 4, alpha not premultiplied; not changed
 * @param background  what shows through
 */
export function flattenAlpha(image: Raster, background: RgbColor): Raster {
  if (image.channels !== 4) return image;
  const { width, height, data } = image;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3]!;
    for (let c = 0; c < 3; c++) {
      rgb[to + c] = Math.round((background[c]! * (255 - alpha) + data[from + c]! * alpha) / 255);
    }
  }
  return { width, height, channels: 3, data: rgb };
}
