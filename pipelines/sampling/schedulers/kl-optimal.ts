import type { Schedule } from './schedule.ts';

const f32 = Math.fround;

/**
 * Evenly spaced in arctan sigma (Sabour et al. 2024, theorem 3.1). n + 1 values that end at
 * sigmaMin instead of 0.
 */
export const klOptimal: Schedule = ({ n, sigmaMin, sigmaMax }) => {
  const low = f32(Math.atan(sigmaMin));
  const high = f32(Math.atan(sigmaMax));
  return Float32Array.from({ length: n + 1 }, (_, j) => {
    const share = f32(j / n);
    return Math.tan(f32(f32(share * low) + f32(f32(1 - share) * high)));
  });
};
