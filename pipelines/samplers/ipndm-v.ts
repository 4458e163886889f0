import { createMultistep } from './multistep.ts';

/**
 * Steps a latent down the schedule with iPNDM-v: Adams-Bashforth of order 4 with coefficients for
 * steps of different lengths.
 *
 * Zhang & Chen 2022, in the form of zju-pi/diff-sampler that Forge and ComfyUI use.
 */
export const ipndmV = createMultistep(4, () => (sigmas, i, order) => {
  // Lengths of this step and of those before it.
  const [h, h1, h2, h3] = [0, 1, 2, 3].map((k) => sigmas[i - k + 1]! - sigmas[i - k]!) as [
    number,
    number,
    number,
    number,
  ];
  const weights = [1, 0, 0, 0];
  if (order >= 2) add(weights, h / h1 / 2, [1, -1]);
  if (order >= 3) {
    // Exact would be (1 − share) · ratio / 2. The reference multiplies the share alone, and the
    // pictures people compare with were made so.
    const share = h / (3 * (h + h1));
    const ratio = (h * (h + h1)) / (h1 * (h1 + h2));
    add(weights, (1 - share * ratio) / 2, [1, -(1 + h1 / h2), h1 / h2]);
  }
  if (order >= 4) {
    const share = (1 - h / (3 * (h + h1))) / 2;
    const rest = ((1 - h / (2 * (h + h1))) * h) / (6 * (h + h1 + h2));
    const ratio = (h * (h + h1) * (h + h1 + h2)) / (h1 * (h1 + h2) * (h1 + h2 + h3));
    const far = (h1 * (h1 + h2)) / (h2 * (h2 + h3));
    add(weights, (share + rest) * ratio, [
      1,
      -(1 + h1 / h2 + far),
      h1 / h2 + far * (1 + h2 / h3),
      (-far * h1) / h2,
    ]);
  }
  return weights.slice(0, order).map((weight) => weight * h);
});

/** Adds a scaled difference to the weights. */
function add(weights: number[], scale: number, difference: readonly number[]): void {
  for (const [k, factor] of difference.entries()) weights[k] = weights[k]! + scale * factor;
}
