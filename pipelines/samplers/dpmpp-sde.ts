import { combine } from '../sampling/latents.ts';
import { ancestralStep } from './ancestral-step.ts';
import type { Sampler } from './sampler.ts';

const f32 = Math.fround;

/**
 * The levels of one step as f32 arithmetic in log sigma gives them. The Brownian motion is cut at
 * exactly these: a time that differs in the last place is another time.
 */
function roundLevels(sigma: number, sigmaNext: number): [from: number, middle: number, to: number] {
  const t = f32(-Math.log(sigma));
  const tNext = f32(-Math.log(sigmaNext));
  const s = f32(t + f32(f32(tNext - t) / 2));
  return [f32(Math.exp(-t)), f32(Math.exp(-s)), f32(Math.exp(-tNext))];
}

/**
 * Steps a latent down the schedule with the stochastic DPM-Solver++: an evaluation halfway in log
 * sigma (r = 1/2), ancestral noise from a Brownian motion in both half steps.
 *
 * Lu et al. 2022, "DPM-Solver++"; SDE form by Crowson in k-diffusion.
 */
export const dpmppSde: Sampler = async (denoise, start, sigmas, context) => {
  const { eta, sNoise, brownian } = context;
  const x = start.slice();
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    if (sigmaNext === 0) {
      x.set(denoised);
    } else {
      const [from, middle, to] = roundLevels(sigma, sigmaNext);
      const half = ancestralStep(sigma, middle, eta);
      const x2 = combine(
        new Float32Array(x.length),
        [half.down / sigma, x],
        [1 - half.down / sigma, denoised],
        [sNoise * half.up, brownian(from, middle)],
      );
      const denoised2 = await denoise(x2, middle);
      const whole = ancestralStep(sigma, sigmaNext, eta);
      combine(
        x,
        [whole.down / sigma, x],
        [1 - whole.down / sigma, denoised2],
        [sNoise * whole.up, brownian(from, to)],
      );
    }
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};
