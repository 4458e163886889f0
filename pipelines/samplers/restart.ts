import { combine } from '../sampling/latents.ts';
import { karras } from '../sampling/schedulers/karras.ts';
import { heunStep } from './heun.ts';
import type { Sampler } from './sampler.ts';

/** Levels between which a restart goes back up and down again. */
const RESTART_LOW = 0.1;
const RESTART_HIGH = 2;

/** Fewer steps than this run without restarts, fewer than the second number with one short one. */
const MIN_STEPS = 20;
const MANY_STEPS = 36;
const SHORT_RESTART_STEPS = 9;

/** Exponent of the Karras schedules in between. */
const RHO = 7;

/**
 * Steps a latent down with Heun's method, with parts of the way gone twice or three times: noise
 * is added to come back up, which wears off earlier errors.
 *
 * Xu et al. 2023, "Restart Sampling"; division of the steps as in the web UI.
 */
export const restart: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  let last = Number.POSITIVE_INFINITY;
  for (const [i, [sigma, sigmaNext]] of listSteps(sigmas).entries()) {
    if (sigma > last) {
      combine(x, [1, x], [context.sNoise * Math.sqrt(sigma ** 2 - last ** 2), context.noise()]);
    }
    const denoised = await denoise(x, sigma);
    await heunStep(denoise, x, denoised, sigma, sigmaNext);
    last = sigmaNext;
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};

/** From and to levels of every step; a restart begins where from is above the last to. */
function listSteps(sigmas: Float32Array): [from: number, to: number][] {
  const n = sigmas.length - 1;
  if (n < MIN_STEPS) return pairs(sigmas);
  const times = n >= MANY_STEPS ? 2 : 1;
  const restartSteps = n >= MANY_STEPS ? Math.floor(n / 4) : SHORT_RESTART_STEPS;
  const base = createKarras(n - restartSteps * times, sigmas[n - 1]!, sigmas[0]!);
  const low = nearest(base, RESTART_LOW);
  const high = nearest(base, RESTART_HIGH);
  const steps = pairs(base);
  if (high >= low || low === 0) return steps;
  const loop = pairs(createKarras(restartSteps + 1, base[low]!, base[high]!).subarray(0, -1));
  const loops = Array.from({ length: times }, () => loop).flat();
  return [...steps.slice(0, low), ...loops, ...steps.slice(low)];
}

function pairs(sigmas: Float32Array): [number, number][] {
  return Array.from(sigmas.subarray(0, -1), (sigma, i) => [sigma, sigmas[i + 1]!]);
}

function createKarras(n: number, sigmaMin: number, sigmaMax: number): Float32Array {
  return karras({ n, sigmaMin, sigmaMax, rho: RHO });
}

/** Index of the level closest to a value, the first at a tie. */
function nearest(sigmas: Float32Array, value: number): number {
  const distances = Array.from(sigmas, (sigma) => Math.abs(sigma - value));
  return distances.indexOf(Math.min(...distances));
}
