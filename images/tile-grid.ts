import { blankRaster, cropRaster, type Raster } from './raster.ts';

/** Sides of a tile and how far neighbours reach into each other, pixels. */
export interface TileSize {
  width: number;
  height: number;
  overlap: number;
}

/**
 * Returns where tiles start along a side: evenly, the first at 0, the last ending at the edge, each at
 * least `overlap` inside its neighbour. A side that fits into one tile has one.
 *
 * @param size     of the side
 * @param tile     of a tile, above `overlap`
 */
export function tileStarts(size: number, tile: number, overlap: number): number[] {
  if (size <= tile) return [0];
  const count = Math.ceil((size - overlap) / (tile - overlap));
  const distance = (size - tile) / (count - 1);
  const starts = Array.from({ length: count - 1 }, (_, i) => Math.trunc(i * distance));
  // Not the product, which may come to just below the edge.
  return [...starts, size - tile];
}

/**
 * Works on a picture tile by tile and puts the results together, blended linearly over the overlap,
 * as the web UI does.
 *
 * @param image  u8; not changed
 * @param size   sides above the overlap
 * @param work   gets each tile, row by row, and how many there are; returns it enlarged by one whole
 *   factor, the same for all; null ends the work
 * @returns the picture enlarged by that factor; null when the work was ended
 */
export async function mapTiles(
  image: Raster,
  { width, height, overlap }: TileSize,
  work: (tile: Raster, index: number, count: number) => Promise<Raster | null>,
): Promise<Raster | null> {
  const tops = tileStarts(image.height, height, overlap);
  const lefts = tileStarts(image.width, width, overlap);
  const count = tops.length * lefts.length;
  const [h, w] = [Math.min(height, image.height), Math.min(width, image.width)];
  let whole: Raster | null = null;
  let index = 0;
  for (const top of tops) {
    let row: Raster | null = null;
    let factor = 1;
    for (const left of lefts) {
      const box = { x1: left, y1: top, x2: left + w, y2: top + h };
      const tile = await work(cropRaster(image, box), index++, count);
      if (tile === null) return null;
      factor = tile.width / w;
      row ??= blankRaster(image.width * factor, tile.height, image.channels);
      pasteBlended(row, tile, left * factor, 0, overlap * factor, 'left');
    }
    whole ??= blankRaster(image.width * factor, image.height * factor, image.channels);
    if (row) pasteBlended(whole, row, 0, top * factor, overlap * factor, 'top');
  }
  return whole;
}

/** Copies a tile; unless it lies at the edge, its first columns or rows fade in over what is there. */
function pasteBlended(
  target: Raster,
  tile: Raster,
  left: number,
  top: number,
  overlap: number,
  side: 'left' | 'top',
): void {
  const { channels } = target;
  const fades = side === 'left' ? left > 0 : top > 0;
  for (let y = 0; y < tile.height; y++) {
    let to = ((top + y) * target.width + left) * channels;
    let from = y * tile.width * channels;
    for (let x = 0; x < tile.width; x++) {
      const at = side === 'left' ? x : y;
      const share = fades && at < overlap ? Math.trunc((at * 255) / overlap) : 255;
      for (let c = 0; c < channels; c++, to++, from++) {
        target.data[to] = mix(tile.data[from]!, target.data[to]!, share);
      }
    }
  }
}

/** `a` at `share` / 255 over `b`, rounded as Pillow's paste does. */
function mix(a: number, b: number, share: number): number {
  const sum = a * share + b * (255 - share) + 128;
  return ((sum >> 8) + sum) >> 8;
}
