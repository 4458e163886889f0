const f32 = Math.fround;

/**
 * Returns evenly spaced numbers, rounded as PyTorch rounds them: from both ends to the middle.
 *
 * @param start first value
 * @param end   last value
 * @param n     count, >= 1; 1 gives only start
 * @returns f32 [n]
 */
export function linspace(start: number, end: number, n: number): Float32Array {
  const values = new Float32Array(n);
  if (n === 1) {
    values[0] = start;
    return values;
  }
  const from = f32(start);
  const to = f32(end);
  const step = f32(f32(to - from) / (n - 1));
  const half = Math.floor(n / 2);
  for (let i = 0; i < n; i++) {
    values[i] = i < half ? from + step * i : to - step * (n - 1 - i);
  }
  return values;
}

/**
 * Returns the list with a final 0, the noise level every schedule but KL Optimal ends at.
 *
 * @param sigmas noise levels, high to low
 * @returns f32 [n + 1]
 */
export function appendZero(sigmas: ArrayLike<number>): Float32Array {
  const ended = new Float32Array(sigmas.length + 1);
  ended.set(sigmas);
  return ended;
}
