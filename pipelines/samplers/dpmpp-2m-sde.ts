import { combine, type Term } from '../sampling/latents.ts';
import type { Sampler } from './sampler.ts';

/** How the second-order term is integrated over a step. */
type Solver = 'midpoint' | 'heun';

/**
 * Returns the sampler DPM-Solver++(2M) SDE: second order from the previous step's answer, noise
 * from a Brownian motion.
 *
 * Lu et al. 2022, "DPM-Solver++"; SDE form by Crowson in k-diffusion. h is the step in -log sigma.
 *
 * @param solver midpoint or heun
 */
function createDpmpp2mSde(solver: Solver): Sampler {
  return async (denoise, start, sigmas, context) => {
    const { eta, sNoise, brownian } = context;
    const x = start.slice();
    let previous: Float32Array | null = null;
    let hLast = 0;
    for (let i = 0; i < sigmas.length - 1; i++) {
      const sigma = sigmas[i]!;
      const sigmaNext = sigmas[i + 1]!;
      const denoised = await denoise(x, sigma);
      if (sigmaNext === 0) {
        x.set(denoised);
      } else {
        const h = Math.log(sigma / sigmaNext);
        const gain = -Math.expm1(-h * (1 + eta));
        const terms: Term[] = [
          [(sigmaNext / sigma) * Math.exp(-eta * h), x],
          [gain, denoised],
        ];
        if (previous !== null) {
          const curve = solver === 'heun' ? 1 - gain / (h * (1 + eta)) : gain / 2;
          const ahead = (curve * h) / hLast;
          terms.push([ahead, denoised], [-ahead, previous]);
        }
        if (eta > 0) {
          const spread = sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h));
          terms.push([spread * sNoise, brownian(sigma, sigmaNext)]);
        }
        combine(x, ...terms);
        hLast = h;
      }
      previous = denoised;
      await context.onStep({ i, sigma, denoised, x });
    }
    return x;
  };
}

/** DPM++ 2M SDE. */
export const dpmpp2mSde = createDpmpp2mSde('midpoint');

/** DPM++ 2M SDE Heun. */
export const dpmpp2mSdeHeun = createDpmpp2mSde('heun');
