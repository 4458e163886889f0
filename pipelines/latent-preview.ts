/** A quick look at a latent: a fixed linear map from its channels to colours, as the web UI's "Approx cheap". */
import { makeGrid } from '../images/grid.ts';
import type { RgbImage } from '../images/rgb-image.ts';
import type { Family } from '../networks/checkpoint/config.ts';
import type { JobPreview } from './job.ts';
import type { LatentShape } from './sampling/latents.ts';

/** [latent channel][red, green, blue] for latents of the SD 1.x and 2.x VAE. */
const SD_FACTORS = [
  [0.298, 0.207, 0.208],
  [0.187, 0.286, 0.173],
  [-0.158, 0.189, 0.264],
  [-0.184, -0.271, -0.473],
] as const;

/** The same for SDXL's VAE. */
const SDXL_FACTORS = [
  [0.3448, 0.4168, 0.4395],
  [-0.1953, -0.029, 0.025],
  [0.1074, 0.0886, -0.0163],
  [-0.373, -0.2499, -0.2088],
] as const;

/**
 * Returns a batch of latents as one small picture, a pixel per latent cell, several as a grid.
 *
 * @param latent  f32 [b, 4, h, w], scaled as the UNet has it
 */
export function previewLatent(
  latent: Float32Array,
  shape: LatentShape,
  family: Family,
): JobPreview {
  const [batch, channels, height, width] = shape;
  const factors = family === 'sdxl' || family === 'sdxl-refiner' ? SDXL_FACTORS : SD_FACTORS;
  const plane = height * width;
  const images = Array.from({ length: batch }, (_, b): RgbImage => {
    const rgb = new Uint8Array(plane * 3);
    for (let p = 0; p < plane; p++) {
      for (let c = 0; c < 3; c++) {
        let value = 0;
        for (let l = 0; l < factors.length; l++)
          value += (latent[(b * channels + l) * plane + p] as number) * (factors[l]?.[c] as number);
        rgb[p * 3 + c] = Math.min(255, Math.max(0, (value * 0.5 + 0.5) * 255));
      }
    }
    return { width, height, rgb };
  });
  return images.length === 1 ? (images[0] as RgbImage) : makeGrid(images);
}
