/** How long to wait before the engine is started again, and when to give up. */

export interface BackoffLimits {
  /** Wait after the first fruitless exit, ms; doubled for each further one. */
  firstMs: number;
  maxMs: number;
  /** This many failures to start or to load ... */
  loopCount: number;
  /** ... within this many ms are a crash loop. */
  loopWindowMs: number;
}

/** 0.2 s keeps a killed engine's absence short; 10 s keeps a broken one from burning a core. */
export const BACKOFF_LIMITS: BackoffLimits = {
  firstMs: 200,
  maxMs: 10_000,
  loopCount: 5,
  loopWindowMs: 60_000,
};

/**
 * Counts exits of the engine.
 *
 * @param limits  see `BACKOFF_LIMITS`
 * @param now     monotonic clock, ms
 */
export function createBackoff(limits: BackoffLimits, now: () => number = () => performance.now()) {
  let fruitless = 0;
  let failures: number[] = [];
  return {
    /**
     * Notes an exit and tells what to do.
     *
     * @param loading  the engine died while it started or loaded a model, before any step
     * @returns ms to wait before the next start; null for a crash loop
     */
    exited(loading: boolean): number | null {
      const time = now();
      if (loading) failures.push(time);
      failures = failures.filter((failure) => time - failure < limits.loopWindowMs);
      if (failures.length >= limits.loopCount) return null;
      fruitless += 1;
      return Math.min(limits.firstMs * 2 ** (fruitless - 1), limits.maxMs);
    },
    /** Notes a step or a finished call: whatever kills the engine now is not a broken start. */
    worked(): void {
      fruitless = 0;
      failures = [];
    },
  };
}
