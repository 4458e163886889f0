/** Init images brought to a size, by the upscaler of img2img where they have to grow. */
import { ImageError } from '../../images/errors.ts';
import type { Raster } from '../../images/raster.ts';
import { type ResizeMode, resizeRaster } from '../../images/resize.ts';
import type { Img2ImgJob, JobHooks } from '../job.ts';
import { enlargeBy } from '../upscaling/enlarge.ts';
import type { UpscalerStore } from '../upscaling/upscalers.ts';

/**
 * Pixels of a picture that is enlarged before it is cut: four of the largest that are made. Covering
 * a square with a strip would need far more.
 */
const MAX_ENLARGED_PIXELS = 4 * 4_096 * 4_096;

/** Brings a picture to a size. */
export type Fit = (
  picture: Raster,
  width: number,
  height: number,
  mode: ResizeMode,
) => Promise<Raster>;

/**
 * Returns how a job brings its pictures to a size: with Lanczos, after its upscaler where it has one
 * and a picture has to grow.
 *
 * @param store  opens upscalers; null where there are none
 */
export function createFit(
  { upscaler }: Pick<Img2ImgJob, 'upscaler'>,
  store: Pick<UpscalerStore, 'open'> | null,
  hooks: Pick<JobHooks, 'control'>,
): Fit {
  if (upscaler === null || store === null) {
    return async (picture, width, height, mode) => resizeRaster(picture, width, height, mode);
  }
  const { control } = hooks;
  const context = {
    open: (path: string) => store.open(path),
    tiles: upscaler.tiles,
    watch: {
      onTile: () => {},
      shouldStop: () => control.interrupted || control.skipped,
    },
  };
  return async (picture, width, height, mode) => {
    const ratios = [width / picture.width, height / picture.height];
    const factor = mode === 'fill' ? Math.min(...ratios) : Math.max(...ratios);
    if (factor <= 1) return resizeRaster(picture, width, height, mode);
    if (picture.width * picture.height * factor ** 2 > MAX_ENLARGED_PIXELS) {
      throw new ImageError(
        'IMAGE_TOO_LARGE',
        `The picture of ${picture.width} x ${picture.height} pixels is too long to be enlarged to ${width} x ${height}.`,
      );
    }
    const enlarged = await enlargeBy(picture, factor, upscaler.ref, context);
    return resizeRaster(enlarged, width, height, mode);
  };
}
