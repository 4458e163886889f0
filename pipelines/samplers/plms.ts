import { combine, type Term } from '../sampling/latents.ts';
import { estimateClean } from './ddim.ts';
import type { Sampler } from './sampler.ts';

/** Adams-Bashforth coefficients of the noise predictions, latest first. */
const ADAMS_BASHFORTH = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/**
 * Steps a latent down a list of timesteps with pseudo linear multisteps of order 4; the first step
 * is Heun's and evaluates twice.
 *
 * Liu et al. 2022, "PNDM", equations 12 and 13.
 */
export const plms: Sampler = async (predict, start, timesteps, context) => {
  const alphas = context.modelSigmas.alphasCumprod;
  const history: Float32Array[] = [];
  let x = start;
  for (let i = 0; i < timesteps.length - 1; i++) {
    const alpha = alphas[timesteps[i]!]!;
    const alphaNext = alphas[timesteps[i + 1]!]!;
    history.unshift(await predict(x, timesteps[i]!));
    history.length = Math.min(history.length, ADAMS_BASHFORTH.length);
    let terms = ADAMS_BASHFORTH[history.length - 1]!.map(
      (coefficient, k): Term => [coefficient, history[k]!],
    );
    if (i === 0) {
      const ahead = transfer(x, history[0]!, alpha, alphaNext).x;
      terms = [
        [1 / 2, history[0]!],
        [1 / 2, await predict(ahead, timesteps[1]!)],
      ];
    }
    const eps = combine(new Float32Array(x.length), ...terms);
    const step = transfer(x, eps, alpha, alphaNext);
    x = step.x;
    const sigma = Math.sqrt((1 - alpha) / alpha);
    await context.onStep({ i, sigma, denoised: step.denoised, x });
  }
  return x === start ? start.slice() : x;
};

/** DDIM's deterministic step. */
function transfer(x: Float32Array, eps: Float32Array, alpha: number, alphaNext: number) {
  const denoised = estimateClean(x, eps, alpha);
  const signal = Math.sqrt(alphaNext);
  const spread = Math.sqrt(1 - alphaNext);
  return { denoised, x: combine(new Float32Array(x.length), [signal, denoised], [spread, eps]) };
}
