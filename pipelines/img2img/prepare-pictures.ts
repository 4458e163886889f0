/** From the files of an img2img job to the pictures that are encoded, and what is kept of them. */
import { decodeImage } from '../../images/decode.ts';
import { ImageError } from '../../images/errors.ts';
import { fillMasked } from '../../images/fill-masked.ts';
import { flattenAlpha } from '../../images/flatten.ts';
import { type Box, cropRaster, type Raster } from '../../images/raster.ts';
import { resizeRaster } from '../../images/resize.ts';
import { CELL_PIXELS } from '../decode.ts';
import { PipelineError } from '../errors.ts';
import type { Img2ImgJob, MaskUse } from '../job.ts';
import type { Fit } from './fit-picture.ts';
import { placeMask, RESIZE_MODES, readLatentMask, readMask } from './read-mask.ts';

/**
 * Pixels of all init images, and of all results where they are as large as those: as many as a
 * request may ask for. 31 kB of PNG can hold 16 megapixels.
 */
const MAX_PIXELS = 100 * 1_024 * 1_024;

/** Mode 3 encodes pictures at their own size. */
const RESIZES_LATENT = 3;

/** The pictures of a job. Rasters have three channels, masks one. */
export interface PreparedPictures {
  /** What is encoded: of the job's size, or of its own where the latent is resized. */
  images: readonly Raster[];
  mask: PreparedMask | null;
  comments: string[];
}

/** A mask and what is kept outside it. */
export interface PreparedMask {
  use: MaskUse;
  /** At the job's size, 255 = repaint. */
  drawn: Raster;
  /** What the latent is masked with: the same, unless the job has another one. */
  latent: Raster;
  /** Whole pictures that results are put into, one per init image. */
  originals: readonly Raster[];
  /** What of a result shows in its original; as large as the originals. */
  overlay: Raster;
  /** Where a result belongs in its original; null where it is the whole picture. */
  box: Box | null;
}

/**
 * Decodes, flattens, resizes and masks the pictures of a job, in the web UI's order.
 *
 * @param bring  brings pictures to a size; default: Lanczos
 * @throws ImageError, PipelineError SIZES_DIFFER
 */
export async function preparePictures(
  job: Img2ImgJob,
  bring: Fit = async (...picture) => resizeRaster(...picture),
): Promise<PreparedPictures> {
  const files = await decodeAll(job);
  const { mask } = job;
  const fitAll = () => mapInTurn(files, (file) => fitToJob(file, job, bring));
  if (mask === null) return { images: await fitAll(), mask: null, comments: [] };
  const first = files[0] as Raster;
  const placed = placeMask(await readMask(mask, first), job, mask, first);
  if (placed === null) {
    const comment = 'mask: nothing is white, so the whole picture was drawn.';
    return { images: await fitAll(), mask: null, comments: [comment] };
  }
  const { drawn, overlay, box } = placed;
  const latent = mask.latentImage ? await readLatentMask(mask.latentImage, job) : drawn;
  if (box && files.some(({ width, height }) => width !== first.width || height !== first.height)) {
    throw new PipelineError(
      'SIZES_DIFFER',
      'Expected init_images of one size for inpaint_full_res but received pictures of several sizes.',
    );
  }
  const originals = box ? files : await mapInTurn(files, (file) => coverJob(file, job, bring));
  const images = await mapInTurn(files, async (file, i) => {
    const image = box
      ? await bring(cropRaster(file, box), job.width, job.height, 'fill')
      : job.resizeMode === RESIZES_LATENT
        ? await fitToJob(file, job, bring)
        : (originals[i] as Raster);
    if (mask.fill === 'original') return image;
    return fillMasked(image, resizeRaster(latent, image.width, image.height, 'stretch'));
  });
  return { images, mask: { use: mask, drawn, latent, originals, overlay, box }, comments: [] };
}

/** Works on one picture after the other: several at once would be in memory at once. */
async function mapInTurn(
  files: readonly Raster[],
  work: (file: Raster, index: number) => Promise<Raster>,
): Promise<Raster[]> {
  const done: Raster[] = [];
  for (const [i, file] of files.entries()) done.push(await work(file, i));
  return done;
}

/** Decodes one file after the other, so that their sum is known before the next is in memory. */
async function decodeAll(job: Img2ImgJob): Promise<Raster[]> {
  const files: Raster[] = [];
  let pixels = 0;
  for (const bytes of job.initImages) {
    const file = flattenAlpha(await decodeImage(bytes), job.background);
    files.push(file);
    pixels += file.width * file.height;
    if (pixels > MAX_PIXELS) throw tooLarge('init_images', pixels);
  }
  const first = files[0] as Raster;
  const results = first.width * first.height * job.batchSize * job.nIter;
  // Only what is put back into its picture comes out as large as that.
  if (job.mask?.onlyMasked && results > MAX_PIXELS) throw tooLarge('batch_size x n_iter', results);
  return files;
}

function tooLarge(field: string, pixels: number): ImageError {
  return new ImageError(
    'IMAGE_TOO_LARGE',
    `Expected at most ${MAX_PIXELS} pixels in all pictures of ${field} but received ${pixels}.`,
  );
}

/** The picture as it is encoded. A latent has at least one cell. */
async function fitToJob(file: Raster, job: Img2ImgJob, bring: Fit): Promise<Raster> {
  if (job.resizeMode !== RESIZES_LATENT) return coverJob(file, job, bring);
  const [width, height] = [file.width, file.height].map((side) => Math.max(side, CELL_PIXELS));
  return resizeRaster(file, width as number, height as number, 'stretch');
}

/** The picture at the job's size; a latent that is resized is stretched, and so is its picture. */
function coverJob(
  file: Raster,
  { width, height, resizeMode }: Img2ImgJob,
  bring: Fit,
): Promise<Raster> {
  const mode = resizeMode === RESIZES_LATENT ? 'stretch' : RESIZE_MODES[resizeMode];
  return bring(file, width, height, mode);
}
