import { blankRaster, type Raster } from './raster.ts';

/**
 * Returns a raster at another size without new colours: each pixel is the source's at its centre, as
 * Pillow's `NEAREST` has it.
 *
 * @param source  u8; not changed
 */
export function resampleNearest(source: Raster, width: number, height: number): Raster {
  const { channels, data } = source;
  const target = blankRaster(width, height, channels);
  const columns = Array.from({ length: width }, (_, x) =>
    Math.floor(((x + 0.5) * source.width) / width),
  );
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * source.height) / height) * source.width;
    for (const column of columns) {
      const from = (row + column) * channels;
      for (let c = 0; c < channels; c++) target.data[to++] = data[from + c]!;
    }
  }
  return target;
}
