/** Ends the server in order: no new jobs, the running one finishes, then the engine, then the port. */
import type { Server } from 'node:http';
import type { Logger } from './logging.ts';
import type { JobQueue } from './queue.ts';

/** Milliseconds for answers to reach their clients once the last job has ended. */
const FLUSH_MS = 1_000;

export interface Stoppable {
  server: Pick<Server, 'close' | 'closeIdleConnections' | 'closeAllConnections'>;
  queue: JobQueue;
  jobs: { close(): void; flush(): Promise<void> };
  engine: { stop(): Promise<void> };
  models: { close(): void };
  loras: { close(): void };
  embeddings: { close(): void };
  log: Logger;
  /** Milliseconds that the running job may take to finish. */
  graceMs: number;
  exit(code: number): void;
}

/**
 * Makes the function that ends the server. A second call, or `isHurried`, exits at once.
 *
 * Waiting jobs are answered 503, the running one finishes within the grace or is answered 503.
 */
export function createStop(parts: Stoppable): (reason: string, isHurried: boolean) => void {
  let isStopping = false;
  return (reason, isHurried) => {
    const wasStopping = isStopping;
    isStopping = true;
    parts.log.info({ reason }, 'stopping');
    // The engine notices the closed channel and leaves, also without being asked.
    if (wasStopping || isHurried) return parts.exit(wasStopping ? 1 : 0);
    stopInOrder(parts).then(
      () => parts.exit(0),
      (error: unknown) => {
        parts.log.error({ error }, 'stopping failed');
        parts.exit(1);
      },
    );
  };
}

async function stopInOrder({
  server,
  queue,
  jobs,
  engine,
  models,
  loras,
  graceMs,
}: Stoppable): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // First, so that jobs that the end cuts off are kept as they are.
  jobs.close();
  queue.close();
  models.close();
  loras.close();
  await atMost(queue.idle(), graceMs);
  await engine.stop();
  await jobs.flush();
  server.closeIdleConnections();
  await atMost(closed, FLUSH_MS);
  server.closeAllConnections();
}

async function atMost(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
