import { appendZero, linspace } from './linspace.ts';
import type { ScheduleInput } from './schedule.ts';

const f32 = Math.fround;

/** Karras et al. 2022, equation 5: evenly spaced in sigma^(1/rho). */
export function karras({
  n,
  sigmaMin,
  sigmaMax,
  rho,
}: Pick<ScheduleInput, 'n' | 'sigmaMin' | 'sigmaMax' | 'rho'>): Float32Array {
  const low = sigmaMin ** (1 / rho);
  const high = sigmaMax ** (1 / rho);
  const span = f32(low - high);
  return appendZero(linspace(0, 1, n).map((r) => f32(f32(high) + f32(r * span)) ** rho));
}
