/** Turns a request of the extras endpoints into a job: upscalers found, sizes checked. */
import { measureImage } from '../images/measure.ts';
import { pythonFloat } from '../images/python-format.ts';
import type { UpscalingFields } from '../openapi/schemas/extras.ts';
import type { UpscaleJob, UpscalerRef } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { MAX_REQUEST_PIXELS } from '../server/limits.ts';
import { checkUpscale } from '../server/upscale-limits.ts';
import { toOutputFormat } from './job-options.ts';
import { NO_FACE_RESTORER } from './unsupported.ts';

const NO_UPSCALER = 'None';

/** An upscaler with the factor of its model; 1 for those that are none. */
interface Chosen {
  ref: UpscalerRef;
  scale: number;
}

/**
 * Prepares a job of the extras endpoints.
 *
 * @param pictures  files as they were sent
 * @param sent      names of the fields that the request had: A1111 prints a factor that was sent as 2.0
 *   and its default as 2
 * @throws HttpError UPSCALER_NOT_FOUND, LIMIT_EXCEEDED, UNSUPPORTED_FEATURE; ImageError
 */
export async function createUpscaleJob(
  context: Context,
  request: UpscalingFields,
  pictures: readonly Uint8Array[],
  sent: ReadonlySet<string>,
): Promise<UpscaleJob> {
  for (const field of ['gfpgan_visibility', 'codeformer_visibility'] as const) {
    if (request[field] > 0) {
      throw new HttpError('UNSUPPORTED_FEATURE', `${field}: ${NO_FACE_RESTORER}; send 0.`);
    }
  }
  const first = await find(context, request.upscaler_1);
  const asked = first === null ? null : await find(context, request.upscaler_2);
  const visibility = request.extras_upscaler_2_visibility;
  const second = asked !== null && visibility > 0 ? asked : null;
  await checkSizes(request, pictures, [first, second]);
  const options = context.options.all();
  const { upscaling_resize_w: width, upscaling_resize_h: height } = request;
  return {
    kind: 'upscale',
    pictures,
    first: first?.ref ?? null,
    second: second && { upscaler: second.ref, visibility },
    target:
      request.resize_mode === 0
        ? { factor: request.upscaling_resize }
        : { width, height, crops: request.upscaling_crop },
    tiles: { size: options.ESRGAN_tile, overlap: options.ESRGAN_tile_overlap },
    postprocessing: describe(request, first?.ref ?? null, second?.ref ?? null, sent),
    output: toOutputFormat(options),
  };
}

async function find({ upscalers }: Context, name: string): Promise<Chosen | null> {
  if (name === NO_UPSCALER) return null;
  const { kind, path, scale, name: known } = await upscalers.find(name);
  return { ref: { name: known, kind, path }, scale: kind === 'model' ? scale : 1 };
}

async function checkSizes(
  request: UpscalingFields,
  pictures: readonly Uint8Array[],
  chosen: readonly (Chosen | null)[],
): Promise<void> {
  const scales = chosen.flatMap((upscaler) => upscaler?.scale ?? []);
  let pixels = 0;
  for (const bytes of pictures) {
    const size = await measureImage(bytes);
    const { upscaling_resize_w: width, upscaling_resize_h: height } = request;
    const factor =
      request.resize_mode === 0
        ? request.upscaling_resize
        : Math.max(width / size.width, height / size.height);
    pixels += scales.length === 0 ? size.width * size.height : checkUpscale(size, factor, scales);
  }
  if (pixels > MAX_REQUEST_PIXELS) {
    throw new HttpError(
      'LIMIT_EXCEEDED',
      `Expected at most ${MAX_REQUEST_PIXELS} pixels for all upscaled pictures but received ${Math.round(pixels)}.`,
    );
  }
}

/** The pairs that A1111 writes into the result and into `html_info`. */
function describe(
  request: UpscalingFields,
  first: UpscalerRef | null,
  second: UpscalerRef | null,
  sent: ReadonlySet<string>,
): string {
  if (first === null) return '';
  const { resize_mode, upscaling_resize: factor, upscaling_crop } = request;
  const size = `${request.upscaling_resize_w}x${request.upscaling_resize_h}`;
  const pairs: string[] =
    resize_mode === 0
      ? [`upscale by: ${sent.has('upscaling_resize') ? pythonFloat(factor) : factor}`]
      : [`upscale to: ${size}`, ...(upscaling_crop ? [`crop to: ${size}`] : [])];
  pairs.push(`upscaler: ${quote(first.name)}`);
  if (second !== null) pairs.push(`upscaler 2: ${quote(second.name)}`);
  return pairs.map((pair) => `Postprocess ${pair}`).join(', ');
}

function quote(name: string): string {
  return /[,\n:]/.test(name) ? JSON.stringify(name) : name;
}
