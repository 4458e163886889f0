import type { Denoise } from '../samplers/sampler.ts';
import { countValues, type Latent } from './latents.ts';
import { blendSoftly, type SoftBlend } from './soft-blend.ts';

/** Where a picture may change, and what it is elsewhere. */
export interface LatentMask {
  /** 1 = repaint, 0 = keep; f32 [1 or batch, 1, height, width]. */
  mask: Latent;
  /** Clean latent of the picture, f32 [batch, channels, height, width]. */
  init: Latent;
  /** Mixes instead of cutting, and leaves the last latent as it is. */
  soft?: SoftBlend | undefined;
}

/**
 * Returns x where the mask is 1 and the picture where it is 0.
 *
 * @param x    f32, shape of init; not changed
 * @param mask see LatentMask
 * @returns fresh f32, shape of init
 */
export function blend(x: Float32Array, { mask, init }: LatentMask): Float32Array {
  const [, channels, height, width] = init.shape;
  const cells = height * width;
  const planes = countValues(mask.shape) / cells;
  const blended = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += cells) {
    const image = Math.floor(start / (channels * cells));
    const plane = (image % planes) * cells;
    for (let i = 0; i < cells; i++) {
      const m = mask.data[plane + i]!;
      blended[start + i] = x[start + i]! * m + init.data[start + i]! * (1 - m);
    }
  }
  return blended;
}

/** Keeps the picture outside the mask in what a sigma sampler's model answers. */
export function blendAfter(denoise: Denoise, mask: LatentMask): Denoise {
  return async (x, sigma) => blendAt(await denoise(x, sigma), mask, sigma);
}

/** Keeps the picture outside the mask in what a timestep sampler's model is asked. */
export function blendBefore(denoise: Denoise, mask: LatentMask): Denoise {
  return (x, timestep) => denoise(blendAt(x, mask, timestep), timestep);
}

function blendAt(x: Float32Array, mask: LatentMask, level: number): Float32Array {
  return mask.soft ? blendSoftly(x, mask.init, mask.mask, mask.soft, level) : blend(x, mask);
}
