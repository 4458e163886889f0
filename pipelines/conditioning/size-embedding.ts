/** What SDXL is told about sizes (Podell et al. 2023, section 2.2). */

const MAX_PERIOD = 10_000;

/**
 * Returns the sinusoidal embeddings of numbers side by side, each cosines first.
 *
 * @param values  pixels or an aesthetic score
 * @param width   even size of one embedding (256)
 * @returns f32 [values.length * width]
 */
export function embedSizes(values: readonly number[], width: number): Float32Array {
  const half = width / 2;
  const out = new Float32Array(values.length * width);
  values.forEach((value, i) => {
    for (let j = 0; j < half; j++) {
      const angle = value * Math.fround(Math.exp((-Math.log(MAX_PERIOD) * j) / half));
      out[i * width + j] = Math.cos(angle);
      out[i * width + half + j] = Math.sin(angle);
    }
  });
  return out;
}
