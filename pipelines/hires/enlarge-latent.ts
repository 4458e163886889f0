/** From the first pass's latents to those that the second starts from. */
import type { Raster } from '../../images/raster.ts';
import { decodeLatent } from '../decode.ts';
import type { HyperTile } from '../hyper-tile/hyper-tile.ts';
import { encodePixels, toPixels } from '../img2img/encode-pixels.ts';
import type { HiresPass, UpscalerRef } from '../job.ts';
import type { Model } from '../model/model.ts';
import { countValues, type Latent, type LatentShape } from '../sampling/latents.ts';
import { resizeLatent } from '../sampling/resize-latent.ts';
import { type EnlargeContext, enlargeTo } from '../upscaling/enlarge.ts';
import { findLatentMode } from './latent-modes.ts';

/** Pixels per side of a latent cell. */
const CELL_PIXELS = 8;

/** What enlarging needs besides the latents. */
export interface EnlargeLatentContext extends EnlargeContext {
  /** The checkpoint of the first pass, which decodes. */
  first: Model;
  /** Returns the checkpoint of the second pass, which encodes; called once, after the decoding. */
  second(): Promise<Model>;
  circular: boolean;
  /** Of the job; null for none. */
  hyperTile: HyperTile | null;
}

/**
 * Returns the latents enlarged and cut: resized as they are, or decoded, enlarged as pictures of 8 bits
 * and encoded again.
 *
 * @param latent  f32 [b, c, h, w]; not changed
 * @throws CheckpointError, SessionError, PipelineError
 */
export async function enlargeLatent(
  latent: Latent,
  hires: HiresPass,
  context: EnlargeLatentContext,
): Promise<Latent> {
  const { upscaler } = hires;
  if ('latentMode' in upscaler) {
    const { width, height } = hires.enlarged;
    const mode = findLatentMode(upscaler.latentMode);
    if (mode === null)
      throw new RangeError(`Expected a latent mode but received ${upscaler.latentMode}.`);
    const [rows, columns] = [height, width].map((side) => Math.floor(side / CELL_PIXELS));
    await context.second();
    return cutLatent(resizeLatent(latent, rows as number, columns as number, mode), hires.cut);
  }
  return cutLatent(await enlargePixels(latent, hires, upscaler, context), hires.cut);
}

async function enlargePixels(
  latent: Latent,
  { enlarged: { width, height } }: HiresPass,
  upscaler: UpscalerRef,
  context: EnlargeLatentContext,
): Promise<Latent> {
  const { circular, hyperTile } = context;
  const enlarged: Raster[] = [];
  for (const { rgb, ...size } of await decodeLatent(context.first, latent, {
    circular,
    hyperTile,
  })) {
    const image = { ...size, channels: 3, data: rgb };
    enlarged.push(await enlargeTo(image, width, height, upscaler, context));
  }
  return encodePixels(await context.second(), enlarged.map(toPixels), { circular });
}

/** Cuts cells off, the odd one at the bottom and at the right. */
function cutLatent(latent: Latent, cut: HiresPass['cut']): Latent {
  if (cut.width === 0 && cut.height === 0) return latent;
  const [batch, channels, height, width] = latent.shape;
  const shape: LatentShape = [batch, channels, height - cut.height, width - cut.width];
  const data = new Float32Array(countValues(shape));
  // Halves are rounded down, also those of a size that had to be filled up (negative).
  const [top, left] = [Math.floor(cut.height / 2), Math.floor(cut.width / 2)];
  for (let plane = 0, to = 0; plane < batch * channels; plane++) {
    for (let y = 0; y < shape[2]; y++, to += shape[3]) {
      const from = (plane * height + top + y) * width + left;
      data.set(latent.data.subarray(from, from + shape[3]), to);
    }
  }
  return { data, shape };
}
