/** Counters and histograms for `/metrics`. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds: from the demo checkpoint's pictures to SDXL on a CPU. */
const JOB_SECONDS = [0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800];
/** Seconds of an HTTP answer that waits for no job. */
const HTTP_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120, 600];

export interface Metrics {
  registry: Registry;
  httpSeconds: Histogram<'method' | 'path' | 'status'>;
  jobSeconds: Histogram<'outcome'>;
  images: Counter;
  steps: Counter;
  engineExits: Counter<'cause'>;
  /** Reads the queue whenever the metrics are read. */
  watchQueue(read: () => { running: number; waiting: number }): void;
}

/**
 * Makes the metrics of one server.
 *
 * @param withProcess  whether to add the numbers of the Node process; tests do without its timers
 */
export function createMetrics(withProcess = true): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (withProcess) collectDefaultMetrics({ register: registry });
  return {
    registry,
    httpSeconds: new Histogram({
      name: 'sdserve_http_request_duration_seconds',
      help: 'Time until an answer was sent.',
      labelNames: ['method', 'path', 'status'] as const,
      buckets: HTTP_SECONDS,
      registers,
    }),
    jobSeconds: new Histogram({
      name: 'sdserve_job_duration_seconds',
      help: 'Time a job ran, without waiting.',
      labelNames: ['outcome'] as const,
      buckets: JOB_SECONDS,
      registers,
    }),
    images: new Counter({ name: 'sdserve_images_total', help: 'Finished pictures.', registers }),
    steps: new Counter({ name: 'sdserve_steps_total', help: 'Denoising steps.', registers }),
    engineExits: new Counter({
      name: 'sdserve_engine_exits_total',
      help: 'Unplanned ends of the engine process by signal or exit code.',
      labelNames: ['cause'] as const,
      registers,
    }),
    watchQueue(read) {
      new Gauge({
        name: 'sdserve_jobs',
        help: 'Jobs by state.',
        labelNames: ['state'] as const,
        registers,
        collect() {
          const { running, waiting } = read();
          this.set({ state: 'running' }, running);
          this.set({ state: 'waiting' }, waiting);
        },
      });
    },
  };
}
