import { combine } from '../sampling/latents.ts';
import { linspace } from '../sampling/schedulers/linspace.ts';
import { ancestralStep } from './ancestral-step.ts';
import { beginSolverStep } from './dpm-solver.ts';
import type { Sampler } from './sampler.ts';

/**
 * Steps a latent from sigma_max to sigma_min with DPM-Solver-fast: exactly `steps` evaluations in
 * steps of third order, the last ones of lower order. The schedule is its own, even in log sigma.
 *
 * Lu et al. 2022, "DPM-Solver", section 3.4; ancestral noise as in k-diffusion.
 */
export const dpmFast: Sampler = async (denoise, start, _sigmas, context) => {
  const { steps, eta, sNoise } = context;
  let x: Float32Array = start.slice();
  const orders = listOrders(steps);
  const end = Math.fround(-Math.log(context.sigmaMin));
  const times = linspace(-Math.log(context.sigmaMax), end, orders.length + 1);
  for (const [i, order] of orders.entries()) {
    const t = times[i]!;
    const { tDown, up } = descend(t, times[i + 1]!, end, eta);
    const solver = await beginSolverStep(denoise, x, t);
    x = await solver.take(order, tDown);
    if (eta > 0) combine(x, [1, x], [sNoise * up, context.noise()]);
    await context.onStep({ i, sigma: Math.exp(-t), denoised: solver.denoised, x });
  }
  return x;
};

/** Orders that add up to n evaluations: threes, then what is left. */
function listOrders(n: number): (1 | 2 | 3)[] {
  if (n === 0) return [];
  const threes = Array.from({ length: Math.ceil(n / 3) - 1 }, (): 3 => 3);
  if (n % 3 === 0) return [...threes, 2, 1];
  return [...threes, n % 3 === 1 ? 1 : 2];
}

/**
 * Returns where an ancestral step in -log sigma goes down to, not past the end, and its noise.
 *
 * @param t     start of the step
 * @param tNext its end
 * @param tEnd  end of the schedule
 * @param eta   share of fresh noise
 */
export function descend(
  t: number,
  tNext: number,
  tEnd: number,
  eta: number,
): { tDown: number; up: number } {
  if (eta === 0) return { tDown: tNext, up: 0 };
  const { down } = ancestralStep(Math.exp(-t), Math.exp(-tNext), eta);
  const tDown = Math.min(tEnd, -Math.log(down));
  return { tDown, up: Math.sqrt(Math.max(Math.exp(-2 * tNext) - Math.exp(-2 * tDown), 0)) };
}
