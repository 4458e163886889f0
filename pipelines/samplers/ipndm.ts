import { createMultistep } from './multistep.ts';

/** Adams-Bashforth coefficients for equal steps, latest slope first. */
const ADAMS_BASHFORTH = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/**
 * Steps a latent down the schedule with iPNDM: Adams-Bashforth of order 4 with the coefficients of
 * equal steps.
 *
 * Liu et al. 2022; Zhang & Chen 2022.
 */
export const ipndm = createMultistep(4, () => (sigmas, i, order) => {
  const h = sigmas[i + 1]! - sigmas[i]!;
  return ADAMS_BASHFORTH[order - 1]!.map((coefficient) => coefficient * h);
});
