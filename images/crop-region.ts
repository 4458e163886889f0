import type { Box, Raster } from './raster.ts';

/**
 * Returns the box around everything above 0 in a mask, grown by the padding and clamped to the picture, or null
 * for a mask that is black.
 *
 * @param padding  pixels
 */
export function maskBox({ width, height, data }: Raster, padding: number): Box | null {
  const box = { x1: width, y1: height, x2: 0, y2: 0 };
  for (let y = 0; y < height; y++) {
    const row = data.subarray(y * width, (y + 1) * width);
    const first = row.findIndex((value) => value > 0);
    if (first < 0) continue;
    box.x1 = Math.min(box.x1, first);
    box.x2 = Math.max(box.x2, row.findLastIndex((value) => value > 0) + 1);
    box.y1 = Math.min(box.y1, y);
    box.y2 = y + 1;
  }
  if (box.x2 === 0) return null;
  return {
    x1: Math.max(0, box.x1 - padding),
    y1: Math.max(0, box.y1 - padding),
    x2: Math.min(width, box.x2 + padding),
    y2: Math.min(height, box.y2 + padding),
  };
}

/**
 * Returns the box grown in one direction to the aspect ratio of the picture that will be drawn for it. It is
 * moved inside the picture, and cut where the picture is too small.
 *
 * @param box         inside the picture, not empty
 * @param processing  size that is drawn, in pixels
 * @param picture     size of the picture the box lies in
 */
export function growToAspect(
  box: Box,
  processing: { width: number; height: number },
  picture: { width: number; height: number },
): Box {
  const width = box.x2 - box.x1;
  const height = box.y2 - box.y1;
  const ratio = processing.width / processing.height;
  if (width / height > ratio) {
    const [y1, y2] = growSpan(box.y1, box.y2, Math.trunc(width / ratio - height), picture.height);
    return { ...box, y1, y2 };
  }
  const [x1, x2] = growSpan(box.x1, box.x2, Math.trunc(height * ratio - width), picture.width);
  return { ...box, x1, x2 };
}

/** Grows a span by `extra`, the larger half at its end, and moves it back inside 0 … limit. */
function growSpan(start: number, end: number, extra: number, limit: number): [number, number] {
  let from = start - Math.floor(extra / 2);
  let to = end + extra - Math.floor(extra / 2);
  if (to >= limit) {
    from -= to - limit;
    to = limit;
  }
  if (from < 0) {
    to = Math.min(to - from, limit);
    from = 0;
  }
  return [from, to];
}
