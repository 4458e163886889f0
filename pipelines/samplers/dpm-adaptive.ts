import { combine } from '../sampling/latents.ts';
import { descend } from './dpm-fast.ts';
import { beginSolverStep } from './dpm-solver.ts';
import type { Sampler } from './sampler.ts';

/** Error allowed per value: absolute, and relative to the latent. */
const ABSOLUTE_TOLERANCE = 0.0078;
const RELATIVE_TOLERANCE = 0.05;

/** First step in -log sigma. */
const FIRST_STEP = 0.05;

/** Share of the proposed step below which a step is taken again. */
const ACCEPT_SAFETY = 0.81;

/** Order of the error estimate; lower with ancestral noise. */
const ORDER = 3;
const ORDER_WITH_NOISE = 1.5;

/** What is left of the way when the end counts as reached, in -log sigma. */
const END_MARGIN = 1e-5;

/** Keeps the controller from dividing by 0. */
const TINY_ERROR = 1e-8;

/**
 * Steps a latent from sigma_max to sigma_min with steps that the error between a second- and a
 * third-order solution chooses; neither schedule nor step count matter.
 *
 * Lu et al. 2022, "DPM-Solver", appendix C, DPM-Solver-23; ancestral noise as in k-diffusion.
 */
export const dpmAdaptive: Sampler = async (denoise, start, sigmas, context) => {
  const { eta } = context;
  const end = -Math.log(context.sigmaMin);
  const order = eta > 0 ? ORDER_WITH_NOISE : ORDER;
  let x: Float32Array = start.slice();
  let previous = x;
  let t = sigmas.length > 1 ? -Math.log(context.sigmaMax) : end;
  let h = FIRST_STEP;
  for (let i = 0; t < end - END_MARGIN; i++) {
    const tNext = Math.min(end, t + h);
    const { tDown, up } = descend(t, tNext, end, eta);
    const solver = await beginSolverStep(denoise, x, t);
    const low = await solver.take(2, tDown, 1 / 3);
    const high = await solver.take(3, tDown);
    // An integral controller: the step grows as the order's root of the inverse error.
    const inverse = 1 / (estimateError(low, high, previous) + TINY_ERROR);
    const factor = 1 + Math.atan(inverse ** (1 / order) - 1);
    h *= factor;
    if (factor >= ACCEPT_SAFETY) {
      previous = low;
      x = high;
      if (eta > 0) combine(x, [1, x], [up, context.noise()]);
      t = tNext;
    }
    await context.onStep({ i, sigma: Math.exp(-t), denoised: solver.denoised, x });
  }
  return x;
};

/** Root mean square of the difference in units of the tolerance. */
function estimateError(low: Float32Array, high: Float32Array, previous: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < low.length; i++) {
    const size = Math.max(Math.abs(low[i]!), Math.abs(previous[i]!));
    const allowed = Math.max(ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE * size);
    sum += ((low[i]! - high[i]!) / allowed) ** 2;
  }
  return Math.sqrt(sum / low.length);
}
