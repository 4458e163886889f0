import { blankRaster, pasteRaster, type Raster } from './raster.ts';
import { LANCZOS, resample, sampleEdge } from './resample.ts';

/** The web UI's `resize_mode` 0, 1 and 2; 3 resizes the latent and is none of ours. */
export type ResizeMode = 'stretch' | 'crop' | 'fill';

/**
 * Brings a picture or mask to a size with Lanczos, as the web UI does.
 *
 * - `stretch` ignores the aspect ratio;
 * - `crop` covers the size and cuts off what sticks out, centred;
 * - `fill` fits inside, centred; the bars repeat the first and last row or column.
 *
 * @param source  u8, one or three channels; not changed
 */
export function resizeRaster(
  source: Raster,
  width: number,
  height: number,
  mode: ResizeMode,
): Raster {
  if (mode === 'stretch') return resample(source, width, height, LANCZOS);
  const ratio = width / height;
  const sourceRatio = source.width / source.height;
  // The side that is scaled to its full length; the other follows.
  const keepsWidth = mode === 'crop' ? ratio > sourceRatio : ratio < sourceRatio;
  const scaledWidth = keepsWidth ? width : Math.floor((source.width * height) / source.height);
  const scaledHeight = keepsWidth ? Math.floor((source.height * width) / source.width) : height;
  // An extreme aspect ratio would leave nothing of the short side.
  const scaled = resample(source, Math.max(1, scaledWidth), Math.max(1, scaledHeight), LANCZOS);
  const left = (width >> 1) - (scaled.width >> 1);
  const top = (height >> 1) - (scaled.height >> 1);
  const target = blankRaster(width, height, source.channels);
  if (mode === 'fill') fillBars(target, scaled, left, top);
  pasteRaster(target, scaled, left, top);
  return target;
}

/** Covers the bars around a fitted picture. */
function fillBars(target: Raster, scaled: Raster, left: number, top: number): void {
  if (scaled.height < target.height) {
    const first = sampleEdge(scaled, 'row', 0);
    const last = sampleEdge(scaled, 'row', scaled.height);
    for (let y = 0; y < target.height; y++) pasteRaster(target, y < top ? first : last, left, y);
  }
  if (scaled.width < target.width) {
    const first = sampleEdge(scaled, 'column', 0);
    const last = sampleEdge(scaled, 'column', scaled.width);
    for (let x = 0; x < target.width; x++) pasteRaster(target, x < left ? first : last, x, top);
  }
}
