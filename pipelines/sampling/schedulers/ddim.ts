import { appendZero } from './linspace.ts';
import type { Schedule } from './schedule.ts';

/**
 * The trained noise levels 1, 1 + s, 1 + 2s … with an integer stride s, high to low. Where n does
 * not divide the grid this gives more than n steps.
 */
export const ddimSchedule: Schedule = ({ n, model }) => {
  const stride = Math.max(Math.trunc(model.sigmas.length / n), 1);
  const sigmas: number[] = [];
  for (let i = 1; i < model.sigmas.length; i += stride) sigmas.push(model.sigmas[i]!);
  return appendZero(sigmas.reverse());
};
