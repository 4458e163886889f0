import { appendZero } from './linspace.ts';
import type { Schedule } from './schedule.ts';

/** Every (grid length / n)-th trained noise level, counted down from the highest. */
export const simple: Schedule = ({ n, model }) => {
  const last = model.sigmas.length - 1;
  const stride = model.sigmas.length / n;
  return appendZero(
    Array.from({ length: n }, (_, i) => model.sigmas[last - Math.trunc(i * stride)]!),
  );
};
