import { betaQuantile } from './beta-distribution.ts';
import { appendZero } from './linspace.ts';
import type { Schedule } from './schedule.ts';

/** Lee et al. 2024, "Beta Sampling is All You Need": quantiles of a beta distribution, in sigma. */
export const beta: Schedule = ({ n, sigmaMin, sigmaMax, betaAlpha, betaBeta }) =>
  appendZero(
    Array.from({ length: n }, (_, i) => {
      const q = n === 1 ? 1 : 1 - i / (n - 1);
      return sigmaMin + betaQuantile(q, betaAlpha, betaBeta) * (sigmaMax - sigmaMin);
    }),
  );
