/**
 * Kills the engine when its parent is gone, also while a step blocks the main thread.
 *
 * A closed channel is only noticed between steps, and a step may take many seconds; a second
 * thread looks at the parent's id instead. On Windows the id never changes, there the channel's
 * `disconnect` event alone ends the process.
 */
import { Worker } from 'node:worker_threads';

/** Milliseconds between two looks; an orphan must be gone within 2 s. */
const POLL_MS = 200;

// Source text, because a file would need one path under a loader and another when compiled.
const WATCH_SOURCE = `
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  }, ${POLL_MS});
`;

/** Starts the watching thread; it never keeps the process alive by itself. */
export function watchForOrphaning(): void {
  new Worker(WATCH_SOURCE, { eval: true, execArgv: [] }).unref();
}
