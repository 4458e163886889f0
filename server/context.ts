/** What every route is given: the parts of one running server. */
import type { Embeddings } from './embeddings.ts';
import type { Supervisor } from './engine/supervisor.ts';
import type { JobStore } from './jobs/store.ts';
import type { Logger } from './logging.ts';
import type { Loras } from './loras.ts';
import type { Metrics } from './metrics.ts';
import type { Models } from './models.ts';
import type { OptionsStore } from './options.ts';
import type { Output } from './output.ts';
import type { JobQueue } from './queue.ts';
import type { Settings } from './settings.ts';
import type { StyleFile } from './style-file.ts';
import type { Upscalers } from './upscalers.ts';

/** The supervisor as routes see it; tests put a stand-in here. */
export type Engine = Pick<
  Supervisor,
  | 'run'
  | 'runSeries'
  | 'load'
  | 'unload'
  | 'interrupt'
  | 'skip'
  | 'progress'
  | 'lastJobTimestamp'
  | 'memory'
  | 'status'
>;

export interface Context {
  readonly settings: Settings;
  readonly options: OptionsStore;
  readonly models: Models;
  readonly loras: Loras;
  readonly upscalers: Upscalers;
  readonly embeddings: Embeddings;
  readonly styles: Pick<StyleFile, 'all'>;
  readonly queue: JobQueue;
  /** Jobs that nobody waits for over a connection. */
  readonly jobs: JobStore;
  readonly engine: Engine;
  readonly output: Output;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Ends the server; `isHurried` without waiting for the running job. */
  readonly stop: (reason: string, isHurried: boolean) => void;
}
