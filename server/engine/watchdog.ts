/** Notices an engine that hangs: stopped, deadlocked, or inside a step that never ends. */

export interface WatchdogLimits {
  /**
   * Until the first step has ended, ms, for up to one 1024 x 1024 picture: a 7 GB checkpoint on a
   * slow disk loads within this. Larger jobs get as much more as they have pixels.
   */
  loadMs: number;
  /** No step is cut short before this, ms; also covers decode after the last step. */
  minMs: number;
  /** Multiple of the job's median step; a VAE decode takes about four steps on a CPU. */
  stepFactor: number;
}

export const WATCHDOG_LIMITS: WatchdogLimits = { loadMs: 900_000, minMs: 60_000, stepFactor: 30 };

/**
 * Watches one call of the engine; the timer runs from creation until `stop`.
 *
 * @param limits     see `WATCHDOG_LIMITS`
 * @param onExpired  called once, with the ms since the last sign of life
 */
export function createWatchdog(limits: WatchdogLimits, onExpired: (silentMs: number) => void) {
  const steps: number[] = [];
  let last = performance.now();
  let beats = 0;
  let timer = arm(limits.loadMs);

  function arm(ms: number): NodeJS.Timeout {
    return setTimeout(() => onExpired(performance.now() - last), ms).unref();
  }

  return {
    /** A sign of life: an iteration began or a step ended. */
    beat(): void {
      const now = performance.now();
      beats += 1;
      // What came before the first beat is loading, not a step.
      if (beats > 1) steps.push(now - last);
      last = now;
      clearTimeout(timer);
      timer = arm(
        steps.length === 0
          ? limits.loadMs
          : Math.max(limits.minMs, limits.stepFactor * median(steps)),
      );
    },
    stop(): void {
      clearTimeout(timer);
    },
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
