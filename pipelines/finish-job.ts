/** From pictures to a job's answer: grid, files, infotexts, `info`. */
import { encodeImage, encodeRaster } from '../images/encode.ts';
import { makeGrid } from '../images/grid.ts';
import type { Raster } from '../images/raster.ts';
import type { RgbImage } from '../images/rgb-image.ts';
import { describeJob, describePicture, type RunFacts } from './generation-info.ts';
import type { DrawJob, JobResult } from './job.ts';
import type { Model } from './model/model.ts';

/**
 * Encodes the pictures of a job, a grid before them where the job wants one.
 *
 * @param pictures  in the order of their seeds
 * @param run       what happened
 * @param extras    what follows each picture in the answer, without an infotext: masks
 */
export async function finishJob(
  job: DrawJob,
  model: Model,
  pictures: readonly RgbImage[],
  run: Omit<RunFacts, 'infotexts' | 'indexOfFirstImage'>,
  extras: readonly (readonly Raster[])[] = [],
): Promise<JobResult> {
  const texts = pictures.map((_, i) => describePicture(job, run.seeds[i] ?? job, run));
  const hasGrid = job.grid && pictures.length > 1;
  const infotexts = hasGrid ? [texts[0] as string, ...texts] : texts;
  const encode = (picture: RgbImage, text: string | undefined) =>
    encodeImage(picture, job.output, job.output.writeInfotext ? (text ?? null) : null);
  const images = await Promise.all([
    ...(hasGrid ? [encode(makeGrid(pictures), texts[0])] : []),
    ...pictures.flatMap((picture, i) => [
      encode(picture, texts[i]),
      ...(extras[i] ?? []).map((extra) => encodeRaster(extra, job.output)),
    ]),
  ]);
  const info = describeJob(job, model, { ...run, infotexts, indexOfFirstImage: hasGrid ? 1 : 0 });
  return { images, infotexts, info, stepsExecuted: run.stepsExecuted };
}
