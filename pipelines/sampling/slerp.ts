/** Above this mean cosine the two directions count as one and are mixed linearly. */
const NEARLY_PARALLEL = 0.9995;

/**
 * Returns two noises mixed along the arc between them, per column: norms and angles run along the
 * height axis, as the web UI computes its variations.
 *
 * Nearly parallel noises are mixed as low · strength + high · (1 - strength), the web UI's order.
 *
 * @param strength 0 … 1; 0 is low, 1 is high
 * @param low      f32 [channels, height, width]
 * @param high     same shape
 * @param shape    [channels, height, width]
 * @returns f32, same shape
 */
export function slerp(
  strength: number,
  low: Float32Array,
  high: Float32Array,
  shape: readonly [number, number, number],
): Float32Array {
  const [channels, height, width] = shape;
  const columns = channels * width;
  const dots = new Float64Array(columns);
  let total = 0;
  for (let column = 0; column < columns; column++) {
    const start = Math.floor(column / width) * height * width + (column % width);
    let lowNorm = 0;
    let highNorm = 0;
    let dot = 0;
    for (let y = 0; y < height; y++) {
      const a = low[start + y * width]!;
      const b = high[start + y * width]!;
      lowNorm += a * a;
      highNorm += b * b;
      dot += a * b;
    }
    dots[column] = dot / Math.sqrt(lowNorm * highNorm);
    total += dots[column]!;
  }
  if (total / columns > NEARLY_PARALLEL) {
    return low.map((value, i) => value * strength + high[i]! * (1 - strength));
  }
  const mixed = new Float32Array(low.length);
  for (let i = 0; i < mixed.length; i++) {
    const column = Math.floor(i / (height * width)) * width + (i % width);
    const omega = Math.acos(dots[column]!);
    const sine = Math.sin(omega);
    mixed[i] =
      (Math.sin((1 - strength) * omega) / sine) * low[i]! +
      (Math.sin(strength * omega) / sine) * high[i]!;
  }
  return mixed;
}
