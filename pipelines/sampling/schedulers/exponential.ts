import { appendZero, linspace } from './linspace.ts';
import type { Schedule } from './schedule.ts';

const f32 = Math.fround;

/** Evenly spaced in log sigma. */
export const exponential: Schedule = ({ n, sigmaMin, sigmaMax }) =>
  appendZero(linspace(Math.log(sigmaMax), Math.log(sigmaMin), n).map(Math.exp));

/** A polynomial of degree rho in log sigma; 1 is the exponential schedule. */
export const polyexponential: Schedule = ({ n, sigmaMin, sigmaMax, rho }) => {
  const low = Math.log(sigmaMin);
  const span = f32(Math.log(sigmaMax) - low);
  return appendZero(
    linspace(1, 0, n).map((r) => Math.exp(f32(f32(f32(r ** rho) * span) + f32(low)))),
  );
};
