/** What inpainting and instruct checkpoints see of the pictures, beside the noised latent. */
import type { Raster } from '../../images/raster.ts';
import { resizeRaster } from '../../images/resize.ts';
import type { Img2ImgJob } from '../job.ts';
import type { Model } from '../model/model.ts';
import { latentShape } from '../prepare-network.ts';
import { countValues } from '../sampling/latents.ts';
import { resizeLatent } from '../sampling/resize-latent.ts';
import { encodePixels, type Pixels, toPixels } from './encode-pixels.ts';
import type { PreparedPictures } from './prepare-pictures.ts';

/**
 * Returns the further input channels of the UNet.
 *
 * Inpainting: the mask (1 = repaint; without one, everything), then the latent of the picture with
 * the masked area grey. Instruct: the latent of the picture, not scaled.
 *
 * @returns f32 [images, inChannels - 4, h, w]; null for ordinary checkpoints
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function pictureConditioning(
  job: Img2ImgJob,
  model: Model,
  { images, mask }: PreparedPictures,
): Promise<Float32Array | null> {
  const { variant, unet } = model.config;
  if (variant === 'base') return null;
  const [, channels, height, width] = latentShape(job, model, 1);
  const size = countValues([unet.inChannels - channels, height, width]);
  const extra = new Float32Array(images.length * size);
  for (const [i, image] of images.entries()) {
    const own = extra.subarray(i * size, (i + 1) * size);
    const pixels = toPixels(image);
    if (variant === 'instruct') {
      const latent = await encodePixels(model, [pixels], { circular: job.tiling });
      const { data } = resizeLatent(latent, height, width);
      own.set(data.map((value) => value / model.vae.scaleFactor));
      continue;
    }
    const shares = toShares(mask?.drawn ?? null, pixels, mask?.use.rounds ?? true);
    greyOut(pixels, shares, job.conditioningMaskWeight);
    const latent = await encodePixels(model, [pixels], { circular: job.tiling });
    own.set(nearest(shares, pixels, height, width));
    own.set(resizeLatent(latent, height, width).data, height * width);
  }
  return extra;
}

/** The mask at the picture's size, f32 [height, width], 1 = repaint. */
function toShares(mask: Raster | null, { width, height }: Pixels, rounds: boolean): Float32Array {
  if (mask === null) return new Float32Array(width * height).fill(1);
  const { data } = resizeRaster(mask, width, height, 'stretch');
  return Float32Array.from(data, (value) => (rounds ? Math.round(value / 255) : value / 255));
}

/** Takes the masked area's share out of a picture, in place; 0 is mid-grey. */
function greyOut({ data }: Pixels, shares: Float32Array, weight: number): void {
  for (let i = 0; i < data.length; i++) {
    data[i]! *= 1 - weight * shares[i % shares.length]!;
  }
}

/** Samples a plane at another size without a filter. */
function nearest(
  plane: Float32Array,
  source: { width: number; height: number },
  height: number,
  width: number,
): Float32Array {
  const target = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * source.height) / height) * source.width;
    for (let x = 0; x < width; x++) {
      target[y * width + x] = plane[row + Math.floor((x * source.width) / width)]!;
    }
  }
  return target;
}
