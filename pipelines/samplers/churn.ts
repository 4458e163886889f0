import { combine } from '../sampling/latents.ts';
import type { SamplerContext } from './sampler.ts';

/** Largest relative increase of the noise level in one step. */
const MAX_GAMMA = Math.SQRT2 - 1;

/**
 * Raises a latent's noise level a little by fresh noise: the stochastic half of Karras et al.
 * 2022, algorithm 2.
 *
 * @param x       latent at sigma; changed in place to sigma_hat
 * @param sigma   noise level of x
 * @param n       steps of the schedule, over which s_churn is spread
 * @param context s_churn, s_tmin, s_tmax, s_noise and the noise source
 * @returns sigma_hat >= sigma
 */
export function churn(
  x: Float32Array,
  sigma: number,
  n: number,
  { sChurn, sTmin, sTmax, sNoise, noise }: SamplerContext,
): number {
  if (sChurn <= 0) return sigma;
  const gamma = sigma >= sTmin && sigma <= sTmax ? Math.min(sChurn / n, MAX_GAMMA) : 0;
  // Drawn also where it is not used, so that later steps get the web UI's noise.
  const eps = noise();
  if (gamma === 0) return sigma;
  const sigmaHat = sigma * (gamma + 1);
  combine(x, [1, x], [sNoise * Math.sqrt(sigmaHat ** 2 - sigma ** 2), eps]);
  return sigmaHat;
}
