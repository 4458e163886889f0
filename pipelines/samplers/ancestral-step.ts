/**
 * Returns the level an ancestral step goes down to and the noise it adds to come back up.
 *
 * @param sigma     level the step starts from
 * @param sigmaNext level it ends at, <= sigma
 * @param eta       share of fresh noise; 0 = none, 1 = as much as keeps the marginals
 * @returns down and up with down² + up² = sigmaNext²
 */
export function ancestralStep(
  sigma: number,
  sigmaNext: number,
  eta: number,
): { down: number; up: number } {
  if (eta === 0) return { down: sigmaNext, up: 0 };
  const variance = (sigmaNext ** 2 * (sigma ** 2 - sigmaNext ** 2)) / sigma ** 2;
  const up = Math.min(sigmaNext, eta * Math.sqrt(Math.max(variance, 0)));
  return { down: Math.sqrt(Math.max(sigmaNext ** 2 - up ** 2, 0)), up };
}
