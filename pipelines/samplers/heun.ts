import { combine } from '../sampling/latents.ts';
import { churn } from './churn.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down the schedule with Heun's method: two evaluations a step, one in the last.
 *
 * Karras et al. 2022, algorithm 2.
 */
export const heun: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  const n = sigmas.length - 1;
  for (let i = 0; i < n; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const sigmaHat = churn(x, sigma, n, context);
    const denoised = await denoise(x, sigmaHat);
    await heunStep(denoise, x, denoised, sigmaHat, sigmaNext);
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};

/**
 * Takes one Heun step in place, Euler's where the step ends at 0.
 *
 * @param denoise   the model
 * @param x         latent at sigma; changed to sigmaNext
 * @param denoised  the model's answer to x at sigma
 * @param sigma     level of x
 * @param sigmaNext level after the step; may be above sigma
 */
export async function heunStep(
  denoise: Parameters<Sampler>[0],
  x: Float32Array,
  denoised: Float32Array,
  sigma: number,
  sigmaNext: number,
): Promise<void> {
  const keep = sigmaNext / sigma;
  if (sigmaNext === 0) {
    combine(x, [keep, x], [1 - keep, denoised]);
    return;
  }
  const x2 = combine(new Float32Array(x.length), [keep, x], [1 - keep, denoised]);
  const denoised2 = await denoise(x2, sigmaNext);
  // Mean of the slopes (x − denoised)/sigma at both ends.
  const dt = sigmaNext - sigma;
  combine(
    x,
    [1 + dt / (2 * sigma), x],
    [-dt / (2 * sigma), denoised],
    [dt / (2 * sigmaNext), x2],
    [-dt / (2 * sigmaNext), denoised2],
  );
}
