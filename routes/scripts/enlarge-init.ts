import { decodeImage } from '../../images/decode.ts';
import { encodeImage } from '../../images/encode.ts';
import { flattenAlpha } from '../../images/flatten.ts';
import type { Raster } from '../../images/raster.ts';
import { ExtrasSingleImageRequest } from '../../openapi/schemas/extras.ts';
import type { GenerationJob } from '../../pipelines/job.ts';
import type { Context } from '../../server/context.ts';
import type { RunPart } from '../../server/engine/supervisor.ts';
import { createUpscaleJob } from '../extras-job.ts';
import { badArgument } from './script.ts';

const LOSSLESS = { format: 'png', quality: 100, writeInfotext: false } as const;

/**
 * Returns the first init image of a job enlarged, without transparency.
 *
 * @param upscaler  its name; `None` leaves the picture as it is
 * @param run       runs a part of the script's task in the engine
 * @throws HttpError SCRIPT_ARGUMENT in txt2img; ImageError; what `createUpscaleJob` and the engine throw
 */
export async function enlargeInit(
  context: Context,
  job: GenerationJob,
  upscaler: string,
  factor: number,
  run: RunPart,
): Promise<Raster> {
  const file = job.kind === 'img2img' ? job.initImages[0] : undefined;
  if (job.kind !== 'img2img' || file === undefined) {
    throw badArgument('This script needs an init image; send the request to img2img.');
  }
  const image = flattenAlpha(await decodeImage(file), job.background);
  const { width, height, data } = image;
  const picture = await encodeImage({ width, height, rgb: data }, LOSSLESS, null);
  const request = ExtrasSingleImageRequest.parse({
    upscaler_1: upscaler,
    upscaling_resize: factor,
  });
  const upscale = await createUpscaleJob(context, request, [picture], new Set());
  if (upscale.first === null) return image;
  const result = await run({ ...upscale, output: LOSSLESS }, { index: 0, count: 1 });
  const [enlarged] = result?.images ?? [];
  // Interrupted: what follows does not run either.
  return enlarged === undefined ? image : decodeImage(enlarged);
}
