import { combine } from '../sampling/latents.ts';
import type { Denoise } from './sampler.ts';

/**
 * Evaluations of one step of DPM-Solver; t is -log sigma. A step of second and one of third order
 * from the same point share the evaluations they have in common.
 */
export interface SolverStep {
  /** The model's estimate of the clean latent at the step's start. */
  denoised: Float32Array;
  /** The latent after a step of the given order; fresh f32. */
  take(order: 1 | 2 | 3, tNext: number, r1?: number): Promise<Float32Array>;
}

/**
 * Returns a step of DPM-Solver with its first evaluation made.
 *
 * Lu et al. 2022, "DPM-Solver", equation 3.7 and algorithms 1 and 2.
 *
 * @param denoise the model
 * @param x       latent at t; not changed
 * @param t       -log sigma
 */
export async function beginSolverStep(
  denoise: Denoise,
  x: Float32Array,
  t: number,
): Promise<SolverStep> {
  const sigma = Math.exp(-t);
  const denoised = await denoise(x, sigma);
  const eps = toEps(x, denoised, sigma);
  let second: { s1: number; eps: Float32Array } | null = null;

  /** Noise predicted at s1, from a first-order step to there. */
  async function evaluateSecond(s1: number): Promise<Float32Array> {
    if (second?.s1 === s1) return second.eps;
    const sigma1 = Math.exp(-s1);
    const u1 = step(x, eps, sigma1 * Math.expm1(s1 - t));
    second = { s1, eps: toEps(u1, await denoise(u1, sigma1), sigma1) };
    return second.eps;
  }

  return {
    denoised,
    async take(order, tNext, r1 = order === 3 ? 1 / 3 : 1 / 2) {
      const h = tNext - t;
      const sigmaNext = Math.exp(-tNext);
      const whole = sigmaNext * Math.expm1(h);
      if (order === 1) return step(x, eps, whole);
      const eps1 = await evaluateSecond(t + r1 * h);
      if (order === 2) return step(x, eps, whole, eps1, whole / (2 * r1));
      const r2 = 2 / 3;
      const sigma2 = Math.exp(-(t + r2 * h));
      const inner = Math.expm1(r2 * h);
      const curve2 = sigma2 * (r2 / r1) * (inner / (r2 * h) - 1);
      const u2 = step(x, eps, sigma2 * inner, eps1, curve2);
      const eps2 = toEps(u2, await denoise(u2, sigma2), sigma2);
      return step(x, eps, whole, eps2, (sigmaNext / r2) * (Math.expm1(h) / h - 1));
    },
  };
}

function toEps(x: Float32Array, denoised: Float32Array, sigma: number): Float32Array {
  return combine(new Float32Array(x.length), [1 / sigma, x], [-1 / sigma, denoised]);
}

/** x − a · eps − b · (later − eps). */
function step(
  x: Float32Array,
  eps: Float32Array,
  a: number,
  later: Float32Array = eps,
  b = 0,
): Float32Array {
  return combine(new Float32Array(x.length), [1, x], [b - a, eps], [-b, later]);
}
