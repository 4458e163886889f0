import { ImageError } from './errors.ts';
import { assertRgbImage, type RgbColor, type RgbImage } from './rgb-image.ts';

/** The web UI's options that decide the shape of a grid. */
export interface GridShape {
  /** Rows; -1 makes the grid as square as it gets, 0 gives each batch a row. */
  nRows?: number;
  /** Pictures per batch, for `nRows` 0. */
  batchSize?: number;
}

/** Returns rows and columns for `count` pictures: rows is the rounded root unless the options say otherwise. */
export function gridShape(
  count: number,
  { nRows = -1, batchSize = 1 }: GridShape = {},
): { rows: number; columns: number } {
  const wanted = nRows > 0 ? nRows : nRows === 0 ? batchSize : Math.round(Math.sqrt(count));
  const rows = Math.max(1, Math.min(Math.trunc(wanted), count));
  return { rows, columns: Math.ceil(count / rows) };
}

/**
 * Returns one picture with all others side by side, row by row. Cells have the size of the largest
 * picture; smaller ones are centred, and what stays free shows the background.
 *
 * @param images      at least one; not changed
 * @param background  white in the web UI unless `grid_background_color` says otherwise
 * @throws ImageError `INVALID_ARGUMENT` for no pictures or a buffer that does not fit its sides
 */
export function makeGrid(
  images: readonly RgbImage[],
  background: RgbColor = [255, 255, 255],
  shape: GridShape = {},
): RgbImage {
  if (images.length === 0) {
    throw new ImageError('INVALID_ARGUMENT', 'Expected at least one picture for a grid.');
  }
  images.forEach(assertRgbImage);
  const { rows, columns } = gridShape(images.length, shape);
  const cellWidth = Math.max(...images.map((image) => image.width));
  const cellHeight = Math.max(...images.map((image) => image.height));
  const width = columns * cellWidth;
  const height = rows * cellHeight;
  const rgb = Buffer.alloc(width * height * 3, Buffer.from(background));
  images.forEach((image, i) => {
    const left = (i % columns) * cellWidth + ((cellWidth - image.width) >> 1);
    const top = Math.floor(i / columns) * cellHeight + ((cellHeight - image.height) >> 1);
    const rowBytes = image.width * 3;
    for (let y = 0; y < image.height; y++) {
      const row = image.rgb.subarray(y * rowBytes, (y + 1) * rowBytes);
      rgb.set(row, ((top + y) * width + left) * 3);
    }
  });
  return { width, height, rgb };
}
