/** Largest float32. */
const MAX_WEIGHT = 3.4028234663852886e38;

/** Returns the nearest weight that float32 can hold; 0 for 0 times infinity. */
export function finiteWeight(weight: number): number {
  if (Number.isNaN(weight)) return 0;
  return Math.min(MAX_WEIGHT, Math.max(-MAX_WEIGHT, weight));
}
