/** From prepared pictures to what the sampler starts from. */
import type { Raster } from '../../images/raster.ts';
import { BICUBIC, resample } from '../../images/resample.ts';
import type { Img2ImgJob } from '../job.ts';
import type { Model } from '../model/model.ts';
import { latentShape } from '../prepare-network.ts';
import { countValues, type Latent } from '../sampling/latents.ts';
import { blend } from '../sampling/mask.ts';
import { createNoise } from '../sampling/noise.ts';
import { resizeLatent } from '../sampling/resize-latent.ts';
import type { SampleInit } from '../sampling/sample-request.ts';
import { encodePixels, toPixels } from './encode-pixels.ts';
import type { PreparedPictures } from './prepare-pictures.ts';

/**
 * Encodes the pictures of a job and masks their latents.
 *
 * @param seeds  of the pictures of one batch: `latent noise` under a mask is drawn from them, in
 *   every batch from those of the first, as the web UI does
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function createInit(
  job: Img2ImgJob,
  model: Model,
  { images, mask }: PreparedPictures,
  seeds: readonly number[],
): Promise<SampleInit> {
  const shape = latentShape(job, model, job.batchSize);
  const encoded: Latent[] = [];
  // Pictures that are encoded at their own size differ.
  for (const image of images) {
    const one = await encodePixels(model, [toPixels(image)], { circular: job.tiling });
    encoded.push(resizeLatent(one, shape[2], shape[3]));
  }
  const size = countValues(shape.slice(1));
  const data = new Float32Array(job.batchSize * size);
  for (let i = 0; i < job.batchSize; i++) {
    data.set((encoded[i % encoded.length] as Latent).data, i * size);
  }
  const init: SampleInit = {
    latent: { data, shape },
    denoisingStrength: job.denoisingStrength,
    exactSteps: job.exactSteps,
    noiseMultiplier: job.noiseMultiplier,
    extraNoise: job.extraNoise,
  };
  if (mask === null) return init;
  const latentMask = toLatentMask(mask.latent, shape[2], shape[3], mask.use.rounds);
  const under =
    mask.use.fill === 'latent noise'
      ? createNoise({ source: job.options.noiseSource, shape, seeds }).next()
      : mask.use.fill === 'latent nothing'
        ? new Float32Array(data.length)
        : null;
  if (under) init.latent = { data: blend(under, { mask: latentMask, init: init.latent }), shape };
  return { ...init, mask: latentMask, soft: mask.use.soft ?? undefined };
}

/**
 * Returns a mask at the size of a latent.
 *
 * @param mask    one channel, 255 = repaint; not changed
 * @param rounds  whether a cell is repainted or not, with nothing between
 * @returns f32 [1, 1, height, width], 0 … 1
 */
export function toLatentMask(mask: Raster, height: number, width: number, rounds: boolean): Latent {
  const { data } = resample(mask, width, height, BICUBIC);
  const shares = Float32Array.from(data, (value) =>
    rounds ? Math.round(value / 255) : value / 255,
  );
  return { data: shares, shape: [1, 1, height, width] };
}
