import { createMultistep } from './multistep.ts';

/** Slopes a step is extrapolated from. */
const ORDER = 3;

/** Points of the numeric integral; the reference's number, whose error is part of its result. */
const POINTS = 10_000;

/** The variance-preserving SDE that noise levels are mapped to: levels at its first and last time. */
const FIRST_TIME = 1e-3;
const LOW = Math.log1p(0.002 ** 2);
const HIGH = Math.log1p(80 ** 2);
const BETA_D = (2 * (LOW / FIRST_TIME - HIGH)) / (FIRST_TIME - 1);
const BETA_MIN = HIGH - BETA_D / 2;

/**
 * Steps a latent down the schedule with DEIS: polynomials of order 3 through the last slopes,
 * integrated along the time of a variance-preserving SDE. The step to level 0 is Euler's.
 *
 * Zhang & Chen 2022, "tab" coefficients, as in zju-pi/diff-sampler, Forge and ComfyUI.
 */
export const deis = createMultistep(ORDER, (schedule) => {
  const times = Float64Array.from(schedule, toTime);
  return (sigmas, i, order) => {
    if (order === 1 || sigmas[i + 1] === 0) return [sigmas[i + 1]! - sigmas[i]!];
    return integrate(times, i, order);
  };
});

/** Time at which the SDE has a noise level. */
function toTime(sigma: number): number {
  return (Math.sqrt(BETA_MIN ** 2 + 2 * BETA_D * Math.log1p(sigma ** 2)) - BETA_MIN) / BETA_D;
}

/** Integrals over step i of the Lagrange polynomials times the slope's weight. */
function integrate(times: Float64Array, i: number, order: number): number[] {
  const start = times[i]!;
  const span = times[i + 1]! - start;
  const nodes = Array.from({ length: order }, (_, k) => times[i - k]!);
  const sums = new Array<number>(order).fill(0);
  for (let point = 0; point < POINTS; point++) {
    const tau = start + (span * point) / (POINTS - 1);
    const weight = slopeWeight(tau);
    for (let j = 0; j < order; j++) {
      let product = weight;
      for (let k = 0; k < order; k++) {
        if (k !== j) product *= (tau - nodes[k]!) / (nodes[j]! - nodes[k]!);
      }
      sums[j] = sums[j]! + product;
    }
  }
  return sums.map((sum) => (sum * span) / POINTS);
}

/** d sigma / d tau: −½ · (log ᾱ)' / √(ᾱ(1 − ᾱ)). */
function slopeWeight(tau: number): number {
  const logAlpha = -0.5 * tau ** 2 * BETA_D - tau * BETA_MIN;
  const alpha = Math.exp(logAlpha);
  return (tau * BETA_D + BETA_MIN) / (2 * Math.sqrt(-alpha * Math.expm1(logAlpha)));
}
