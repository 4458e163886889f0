/** The job behind the extras endpoints: pictures enlarged without a checkpoint. */
import { blendRasters } from '../../images/blend.ts';
import { type DecodedImage, decodeImage } from '../../images/decode.ts';
import { encodeImage } from '../../images/encode.ts';
import { blankRaster, pasteRaster, type Raster } from '../../images/raster.ts';
import { readInfotext } from '../../images/read-infotext.ts';
import type { JobHooks, JobResult, UpscaleJob, UpscalerRef } from '../job.ts';
import { enlargeBy } from './enlarge.ts';
import type { UpscalerStore } from './upscalers.ts';

/** Where results carry what was done to them. */
const POSTPROCESSING = 'postprocessing';

/**
 * Enlarges the pictures of a job, one after the other. Their texts are kept, and `postprocessing` is
 * added. An interruption ends the models at once; what is left of the picture is done by Lanczos, and
 * the pictures after it are left out.
 *
 * @throws ImageError, CheckpointError, SessionError, PipelineError NON_FINITE
 */
export async function upscale(
  job: UpscaleJob,
  store: UpscalerStore,
  hooks: JobHooks,
): Promise<JobResult> {
  const { control } = hooks;
  const images: Uint8Array[] = [];
  for (const [index, bytes] of job.pictures.entries()) {
    if (index > 0 && control.interrupted) break;
    control.skipped = false;
    const passes = job.second === null ? 1 : 2;
    const report = (pass: number, step: number, steps: number) =>
      hooks.onProgress({
        job: 'extras',
        jobNo: index * passes + pass,
        jobCount: job.pictures.length * passes,
        samplingStep: step,
        samplingSteps: steps,
      });
    report(0, 0, 1);
    const source = dropAlpha(await decodeImage(bytes));
    const run = (upscaler: UpscalerRef, pass: number) =>
      enlarge(source, job, upscaler, {
        open: (path) => store.open(path),
        tiles: job.tiles,
        watch: {
          onTile: (step, steps) => report(pass, step, steps),
          shouldStop: () => control.interrupted || control.skipped,
        },
      });
    let result = job.first === null ? source : await run(job.first, 0);
    if (job.first !== null && job.second !== null) {
      const second = await run(job.second.upscaler, 1);
      result = blendRasters(result, second, job.second.visibility);
    }
    images.push(await encode(result, bytes, job));
  }
  return {
    images,
    infotexts: images.map(() => job.postprocessing),
    info: {},
    stepsExecuted: 0,
  };
}

async function enlarge(
  source: Raster,
  { target }: UpscaleJob,
  upscaler: UpscalerRef,
  context: Parameters<typeof enlargeBy>[3],
): Promise<Raster> {
  if ('factor' in target) return enlargeBy(source, target.factor, upscaler, context);
  const { width, height, crops } = target;
  const factor = Math.max(width / source.width, height / source.height);
  const result = await enlargeBy(source, factor, upscaler, context);
  if (!crops) return result;
  const cropped = blankRaster(width, height, source.channels);
  pasteRaster(
    cropped,
    result,
    (width >> 1) - (result.width >> 1),
    (height >> 1) - (result.height >> 1),
  );
  return cropped;
}

function dropAlpha({ width, height, channels, data }: DecodedImage): Raster {
  if (channels === 3) return { width, height, channels, data };
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from++) {
    if (from % 4 !== 3) rgb[to++] = data[from]!;
  }
  return { width, height, channels: 3, data: rgb };
}

async function encode(image: Raster, bytes: Uint8Array, job: UpscaleJob): Promise<Uint8Array> {
  const { width, height, data } = image;
  const { writeInfotext } = job.output;
  const { infotext, items } = await readInfotext(bytes);
  items.delete(POSTPROCESSING);
  const extraText = writeInfotext ? [...items, [POSTPROCESSING, job.postprocessing] as const] : [];
  const text = writeInfotext && infotext !== '' ? infotext : null;
  return encodeImage({ width, height, rgb: data }, job.output, text, extraText);
}
