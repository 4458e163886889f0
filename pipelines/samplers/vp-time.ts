/** A variance-preserving noise level: x = alpha · clean + sigma · noise. */
export interface VpLevel {
  /** Continuous time, 0 … 1; timestep k of 1000 is at (k + 1)/1000. */
  t: number;
  alpha: number;
  sigma: number;
  /** Half the logarithm of the signal-to-noise ratio: ln(alpha / sigma). */
  lambda: number;
}

/** A training schedule along continuous time. */
export interface VpTime {
  /** The level at a time. */
  at(t: number): VpLevel;
  /** The time of a lambda. */
  timeOf(lambda: number): number;
}

/**
 * Returns a schedule that is linear in ln alpha between the trained timesteps, and goes on so past
 * the first and the last.
 *
 * Lu et al. 2022, "DPM-Solver", appendix D.4, type-1 discrete time.
 *
 * @param alphasCumprod f32, falling, one per timestep
 */
export function createVpTime(alphasCumprod: Float32Array): VpTime {
  const n = alphasCumprod.length;
  const logAlphas = Float64Array.from(alphasCumprod, (alpha) => 0.5 * Math.log(alpha));
  return {
    at(t) {
      const position = t * n - 1;
      const low = Math.min(Math.max(Math.floor(position), 0), n - 2);
      const share = position - low;
      const logAlpha = logAlphas[low]! * (1 - share) + logAlphas[low + 1]! * share;
      const alpha = Math.exp(logAlpha);
      const sigma = Math.sqrt(-Math.expm1(2 * logAlpha));
      return { t, alpha, sigma, lambda: logAlpha - Math.log(sigma) };
    },
    timeOf(lambda) {
      const logAlpha = -0.5 * Math.log1p(Math.exp(-2 * lambda));
      // ln alpha falls with time: the last point that is still at least as high.
      const after = logAlphas.findIndex((value) => value < logAlpha);
      const low = Math.min(Math.max((after < 0 ? n : after) - 1, 0), n - 2);
      const share = (logAlpha - logAlphas[low]!) / (logAlphas[low + 1]! - logAlphas[low]!);
      return (low + share + 1) / n;
    },
  };
}
