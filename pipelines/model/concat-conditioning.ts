import { CELL_PIXELS } from '../decode.ts';
import { assertFinite } from '../errors.ts';
import { countValues, type LatentShape } from '../sampling/latents.ts';
import type { Model } from './model.ts';

/**
 * Returns what inpainting and instruct checkpoints get beside the latent when there is no picture:
 * a mask of ones and the latent of mid-grey (all is to be painted), or zeros for the picture to edit.
 *
 * @returns f32 [inChannels - 4, h, w]; null for ordinary checkpoints
 */
export async function concatConditioning(
  model: Model,
  [, channels, height, width]: LatentShape,
  circular: boolean,
): Promise<Float32Array | null> {
  const { variant, unet } = model.config;
  if (variant === 'base') return null;
  const extra = new Float32Array(countValues([unet.inChannels - channels, height, width]));
  if (variant === 'instruct') return extra;
  const shape = [1, 3, height * CELL_PIXELS, width * CELL_PIXELS];
  const encoder = await model.encoder(circular);
  const grey = new Float32Array(countValues(shape));
  const result = await encoder.run({ pixels: { type: 'float32', data: grey, shape } }, ['mean']);
  const mean = result.mean?.data as Float32Array;
  assertFinite('VAE encoder', model.checkpoint.name, mean);
  extra.fill(1, 0, height * width);
  extra.set(mean, height * width);
  return extra;
}
