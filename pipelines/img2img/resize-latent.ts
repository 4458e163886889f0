import type { Latent } from '../sampling/latents.ts';

/** Where a target cell falls between two source cells. */
interface Between {
  low: number;
  high: number;
  /** Share of `high`. */
  share: number;
}

/**
 * Returns a latent at another size, bilinearly and without widening the filter, as
 * `torch.nn.functional.interpolate` does when corners are not aligned.
 *
 * @param latent  f32 [b, c, h, w]; not changed
 */
export function resizeLatent(latent: Latent, height: number, width: number): Latent {
  const [batch, channels, sourceHeight, sourceWidth] = latent.shape;
  if (height === sourceHeight && width === sourceWidth) return latent;
  const rows = place(sourceHeight, height);
  const columns = place(sourceWidth, width);
  const data = new Float32Array(batch * channels * height * width);
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    const source = latent.data.subarray(
      plane * sourceHeight * sourceWidth,
      (plane + 1) * sourceHeight * sourceWidth,
    );
    for (const row of rows) {
      const [top, bottom] = [row.low * sourceWidth, row.high * sourceWidth];
      for (const { low, high, share } of columns) {
        const upper = source[top + low]! * (1 - share) + source[top + high]! * share;
        const lower = source[bottom + low]! * (1 - share) + source[bottom + high]! * share;
        data[at++] = upper * (1 - row.share) + lower * row.share;
      }
    }
  }
  return { data, shape: [batch, channels, height, width] };
}

function place(source: number, target: number): Between[] {
  return Array.from({ length: target }, (_, i) => {
    const exact = Math.max(0, ((i + 0.5) * source) / target - 0.5);
    const low = Math.min(Math.floor(exact), source - 1);
    return { low, high: Math.min(low + 1, source - 1), share: exact - low };
  });
}
