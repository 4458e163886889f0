import { countValues, type Latent } from './latents.ts';

/** How soft inpainting mixes a picture with what is drawn over it; names as in the web UI. */
export interface SoftBlend {
  /** Exponent of the noise level: above 0, a picture is kept more towards the end. */
  scheduleBias: number;
  /** Factor on it: how strongly a picture is kept where the mask is neither black nor white. */
  preservationStrength: number;
  /** Above 1, a mix keeps the contrast that its two parts have. */
  transitionContrast: number;
}

/** Keeps the magnitude of a mix from being 0. */
const EPSILON = 1e-5;

/**
 * Returns a mix of x and a picture, more of x the higher the noise level is or the whiter the mask.
 *
 * The share of x is mask ^ (level ^ bias · strength). A mix of two unlike vectors is shorter than
 * they are, which shows as blur: each cell is brought to the power mean of both lengths.
 *
 * @param x     f32 [batch, channels, height, width]; not changed
 * @param init  the picture; f32, shape of x
 * @param mask  f32 [1 or batch, 1, height, width], 1 = x, 0 = the picture
 * @param level noise level or timestep of the sampler's step
 * @returns fresh f32, shape of x
 */
export function blendSoftly(
  x: Float32Array,
  init: Latent,
  mask: Latent,
  soft: SoftBlend,
  level: number,
): Float32Array {
  const [batch, channels, height, width] = init.shape;
  const cells = height * width;
  const planes = countValues(mask.shape) / cells;
  const exponent = level ** soft.scheduleBias * soft.preservationStrength;
  const power = soft.transitionContrast;
  const mixed = new Float32Array(x.length);
  for (let image = 0; image < batch; image++) {
    for (let i = 0; i < cells; i++) {
      const share = mask.data[(image % planes) * cells + i]! ** exponent;
      let [kept, drawn, both] = [0, 0, 0];
      for (let c = 0; c < channels; c++) {
        const at = (image * channels + c) * cells + i;
        const [a, b] = [init.data[at]!, x[at]!];
        const mix = a * (1 - share) + b * share;
        mixed[at] = mix;
        kept += a * a;
        drawn += b * b;
        both += mix * mix;
      }
      const wanted =
        (kept ** (power / 2) * (1 - share) + drawn ** (power / 2) * share) ** (1 / power);
      const factor = wanted / (Math.sqrt(both) + EPSILON);
      for (let c = 0; c < channels; c++) mixed[(image * channels + c) * cells + i]! *= factor;
    }
  }
  return mixed;
}
