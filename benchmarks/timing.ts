/** Times as they are taken and merged: raw seconds stay, medians are made when they are printed. */

/** Runs of one thing. */
export interface Timing {
  /** What was done, e.g. `UNet, batch 2, 512x512`; runs under one label are comparable. */
  label: string;
  /** Seconds of the run that pays for page faults and memory growth; null where another one did. */
  first: number | null;
  /** Seconds of the others. */
  runs: number[];
}

/** What one process measured. */
export interface Measured {
  timings: Timing[];
  /** Largest resident size in bytes the process had reached, by what it had done until then. */
  peaks: Record<string, number>;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}

/** Returns the seconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Returns this process's largest resident size so far, in bytes; mapped files count. */
export function peakBytes(): number {
  // libuv gives kilobytes on every platform.
  return process.resourceUsage().maxRSS * 1024;
}

/**
 * Times several variants of one thing, in turns, so that a noisy neighbour hits all of them.
 *
 * @param variants  what to run, by label; each runs once as `first`, in order, then in turns
 * @param runs      runs per variant after the first
 * @param onFirst   called after a variant's first run
 */
export async function timeInTurns(
  variants: Record<string, () => Promise<unknown>>,
  runs: number,
  onFirst: (label: string) => void = () => {},
): Promise<Timing[]> {
  const timings: Timing[] = [];
  for (const [label, work] of Object.entries(variants)) {
    timings.push({ label, first: await timed(work), runs: [] });
    onFirst(label);
  }
  for (let run = 0; run < runs; run++)
    for (const timing of timings)
      timing.runs.push(await timed(variants[timing.label] as () => Promise<unknown>));
  return timings;
}

/** Puts the measurements of several rounds together: all runs by label, the largest peaks. */
export function mergeMeasured(rounds: readonly Measured[]): Measured {
  const timings = new Map<string, Timing>();
  const peaks: Record<string, number> = {};
  for (const round of rounds) {
    for (const timing of round.timings) {
      const known = timings.get(timing.label);
      if (known) known.runs.push(...timing.runs);
      else timings.set(timing.label, { ...timing, runs: [...timing.runs] });
    }
    for (const [label, bytes] of Object.entries(round.peaks))
      peaks[label] = Math.max(peaks[label] ?? 0, bytes);
  }
  return { timings: [...timings.values()], peaks };
}
