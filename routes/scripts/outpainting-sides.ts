/** Where a picture grows, and what is drawn of it; see A1111's "Outpainting mk2". */
import { type Box, blankRaster, pasteRaster, type Raster } from '../../images/raster.ts';

/** A grown side of a picture that is drawn is a multiple of this. */
const STEP = 64;

export type Direction = 'left' | 'right' | 'up' | 'down';

/** One side that grows. */
export interface Side {
  direction: Direction;
  pixels: number;
  isHorizontal: boolean;
}

/** Returns by how much each side grows so that the whole is a multiple of 64, and the whole. */
export function planSides(
  { width, height }: { width: number; height: number },
  directions: readonly Direction[],
  pixels: number,
): { list: Side[]; width: number; height: number } {
  const by = (direction: Direction) => (directions.includes(direction) ? pixels : 0);
  const whole = {
    width: roundUp(width + by('left') + by('right')),
    height: roundUp(height + by('up') + by('down')),
  };
  const [left, right] = share(by('left'), by('right'), whole.width - width);
  const [up, down] = share(by('up'), by('down'), whole.height - height);
  const grown: [Direction, number][] = [
    ['left', left],
    ['right', right],
    ['up', up],
    ['down', down],
  ];
  const list = grown
    .filter(([, size]) => size > 0)
    .map(([direction, size]) => ({
      direction,
      pixels: size,
      isHorizontal: direction === 'left' || direction === 'right',
    }));
  return {
    list,
    width: left + right > 0 ? whole.width : width,
    height: up + down > 0 ? whole.height : height,
  };
}

/** Divides what a length grows by between its two ends. */
function share(first: number, second: number, total: number): [number, number] {
  if (first + second === 0) return [0, 0];
  const one = first > 0 ? Math.floor((first * total) / (first + second)) : 0;
  return [one, second > 0 ? total - one : 0];
}

function roundUp(side: number): number {
  return Math.ceil(side / STEP) * STEP;
}

/** One side's work. Rasters are as large as the canvas. */
export interface GrownSide {
  /** The picture at its new place; black elsewhere. */
  canvas: Raster;
  /** 255 where something is to be drawn: the new part and a seam of the old. */
  mask: Raster;
  /** The same with a seam of twice the width. */
  latentMask: Raster;
  /** The part of the canvas that is drawn. */
  drawn: Box;
  /** The part of the canvas that the grown picture is. */
  kept: Box;
}

/**
 * Grows a picture at one side.
 *
 * @param blur  width of the seam in pixels
 * @param area  largest part that is drawn at once, along the direction of growth
 */
export function growPicture(
  picture: Raster,
  side: Side,
  blur: number,
  area: { width: number; height: number },
): GrownSide {
  const { direction, pixels, isHorizontal } = side;
  const kept = {
    x1: 0,
    y1: 0,
    x2: picture.width + (isHorizontal ? pixels : 0),
    y2: picture.height + (isHorizontal ? 0 : pixels),
  };
  const canvas = blankRaster(roundUp(kept.x2), roundUp(kept.y2), 3);
  const isFirst = direction === 'left' || direction === 'up';
  pasteRaster(canvas, picture, direction === 'left' ? pixels : 0, direction === 'up' ? pixels : 0);
  const size = {
    width: isHorizontal ? Math.min(area.width, kept.x2) : canvas.width,
    height: isHorizontal ? canvas.height : Math.min(area.height, kept.y2),
  };
  const x1 = direction === 'right' ? canvas.width - size.width : 0;
  const y1 = direction === 'down' ? canvas.height - size.height : 0;
  const seam = (width: number) => {
    const mask = blankRaster(canvas.width, canvas.height, 1);
    mask.data.fill(255);
    const length = isHorizontal ? canvas.width : canvas.height;
    const far = isHorizontal ? kept.x2 : kept.y2;
    // What is kept lies between the seam and the far end of the picture.
    const [from, to] = isFirst ? [pixels + width, far] : [0, length - pixels - width];
    const box = isHorizontal
      ? { x1: from, y1: 0, x2: to, y2: kept.y2 }
      : { x1: 0, y1: from, x2: kept.x2, y2: to };
    blacken(mask, box);
    return mask;
  };
  return {
    canvas,
    mask: seam(blur),
    latentMask: seam(2 * blur),
    drawn: { x1, y1, x2: x1 + size.width, y2: y1 + size.height },
    kept,
  };
}

function blacken(mask: Raster, { x1, y1, x2, y2 }: Box): void {
  if (x2 <= x1) return;
  for (let y = y1; y < y2; y++) mask.data.fill(0, y * mask.width + x1, y * mask.width + x2);
}
