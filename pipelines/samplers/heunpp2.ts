import { combine } from '../sampling/latents.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent down the schedule with Heun++: slopes at this level and the next two, weighed by
 * the levels; two in the last step but one, one in the last.
 *
 * Weights as in Forge and ComfyUI (sd-webui-samplers-scheduler).
 */
export const heunPp2: Sampler = async (denoise, start, sigmas, context) => {
  const x = start.slice();
  const n = sigmas.length - 1;
  for (let i = 0; i < n; i++) {
    const sigma = sigmas[i]!;
    const denoised = await denoise(x, sigma);
    const slopes = [toSlope(x, denoised, sigma)];
    let ahead: Float32Array = x;
    // Euler steps ahead, each with an evaluation where it arrives.
    for (let k = 1; k < Math.min(3, n - i); k++) {
      const level = sigmas[i + k]!;
      const dt = level - sigmas[i + k - 1]!;
      ahead = combine(new Float32Array(x.length), [1, ahead], [dt, slopes[k - 1]!]);
      slopes.push(toSlope(ahead, await denoise(ahead, level), level));
    }
    const dt = sigmas[i + 1]! - sigma;
    const shares = slopes.map((_, k) =>
      k === 0 ? 0 : sigmas[i + k]! / (slopes.length * sigmas[0]!),
    );
    shares[0] = 1 - shares.reduce((sum, share) => sum + share, 0);
    combine(x, [1, x], ...slopes.map((slope, k) => [dt * shares[k]!, slope] as const));
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};

function toSlope(x: Float32Array, denoised: Float32Array, sigma: number): Float32Array {
  return combine(new Float32Array(x.length), [1 / sigma, x], [-1 / sigma, denoised]);
}
