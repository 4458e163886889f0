/** Pixels of any kind: u8 `[height, width, channels]`, row by row from the top. Masks have one channel, 255 = repaint. */
export interface Raster {
  width: number;
  height: number;
  channels: number;
  data: Uint8Array;
}

/** A rectangle in pixels: x1, y1 inside, x2, y2 just outside. */
export interface Box {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

/** Returns a black raster. */
export function blankRaster(width: number, height: number, channels: number): Raster {
  return { width, height, channels, data: new Uint8Array(width * height * channels) };
}

/** Returns a copy of the part inside the box, which lies inside the raster. */
export function cropRaster(source: Raster, { x1, y1, x2, y2 }: Box): Raster {
  const target = blankRaster(x2 - x1, y2 - y1, source.channels);
  pasteRaster(target, source, -x1, -y1);
  return target;
}

/** Copies a raster into another of as many channels, its corner at (left, top); what sticks out is cut off. */
export function pasteRaster(target: Raster, source: Raster, left: number, top: number): void {
  const { channels } = target;
  const fromX = Math.max(0, -left);
  const toX = Math.min(source.width, target.width - left);
  if (toX <= fromX) return;
  const lastY = Math.min(source.height, target.height - top);
  for (let y = Math.max(0, -top); y < lastY; y++) {
    const row = source.data.subarray(
      (y * source.width + fromX) * channels,
      (y * source.width + toX) * channels,
    );
    target.data.set(row, ((top + y) * target.width + left + fromX) * channels);
  }
}
