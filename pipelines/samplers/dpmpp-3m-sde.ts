import { combine, type Term } from '../sampling/latents.ts';
import type { Sampler } from './sampler.ts';

/** An earlier answer of the model and the step in -log sigma that followed it. */
interface Past {
  denoised: Float32Array;
  h: number;
}

/**
 * Steps a latent down the schedule with DPM-Solver++(3M) SDE: third order from the two previous
 * steps' answers, noise from a Brownian motion.
 *
 * Lu et al. 2022, "DPM-Solver++"; third order and SDE form by Crowson in k-diffusion. h is the
 * step in -log sigma, phi_2 and phi_3 the exponential integrator's functions.
 */
export const dpmpp3mSde: Sampler = async (denoise, start, sigmas, context) => {
  const { eta, sNoise, brownian } = context;
  const x = start.slice();
  const past: Past[] = [];
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const sigmaNext = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    if (sigmaNext === 0) {
      x.set(denoised);
    } else {
      const h = Math.log(sigma / sigmaNext);
      const hEta = h * (eta + 1);
      const terms: Term[] = [
        [Math.exp(-hEta), x],
        [-Math.expm1(-hEta), denoised],
        ...differences(past, denoised, h, hEta),
      ];
      if (eta > 0) {
        const spread = sigmaNext * Math.sqrt(-Math.expm1(-2 * h * eta));
        terms.push([spread * sNoise, brownian(sigma, sigmaNext)]);
      }
      combine(x, ...terms);
      past.unshift({ denoised, h });
      past.length = Math.min(past.length, 2);
    }
    await context.onStep({ i, sigma, denoised, x });
  }
  return x;
};

/** The terms of second and third order: phi_2 · d1 − phi_3 · d2 over divided differences. */
function differences(past: Past[], denoised: Float32Array, h: number, hEta: number): Term[] {
  const [one, two] = past;
  if (one === undefined) return [];
  const phi2 = Math.expm1(-hEta) / hEta + 1;
  const r0 = one.h / h;
  if (two === undefined) {
    return [
      [phi2 / r0, denoised],
      [-phi2 / r0, one.denoised],
    ];
  }
  const phi3 = phi2 / hEta - 0.5;
  const r1 = two.h / h;
  // Weights of (denoised − one)/r0 and of (one − two)/r1.
  const near = phi2 + (phi2 * r0 - phi3) / (r0 + r1);
  const far = (phi3 - phi2 * r0) / (r0 + r1);
  return [
    [near / r0, denoised],
    [far / r1 - near / r0, one.denoised],
    [-far / r1, two.denoised],
  ];
}
