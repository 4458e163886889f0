/** Starts, watches and restarts the engine process; what the routes call. */
import type {
  EngineMemory,
  EngineSettings,
  Job,
  JobResult,
  ModelFile,
} from '../../pipelines/job.ts';
import { BACKOFF_LIMITS, type BackoffLimits, createBackoff } from './backoff.ts';
import { PendingCalls } from './calls.ts';
import { type EngineChild, forkEngine } from './child.ts';
import { describeExit } from './exit.ts';
import { MemoryGauge } from './memory-gauge.ts';
import {
  type ProgressSnapshot,
  placeProgress,
  type RunningTask,
  type SeriesPlace,
  snapshot,
  startProgress,
} from './progress.ts';
import {
  type EngineAnswers,
  type EngineCall,
  EngineError,
  type EngineReply,
  fromErrorRecord,
} from './protocol.ts';
import { WATCHDOG_LIMITS, type WatchdogLimits } from './watchdog.ts';

export type { ProgressSnapshot } from './progress.ts';

/** How long the process may take until it is ready, ms; no model is loaded in this time. */
const START_MS = 60_000;

/** The place of a job that is not part of a series. */
const WHOLE: SeriesPlace = { index: 0, count: 1 };
/** Pixels whose first step surely ends within the watchdog's `loadMs`. */
const WORK_UNIT_PIXELS = 1_024 * 1_024;

/** `waiting` is the time before the next start; `failed` is a crash loop. */
export type EngineState = 'stopped' | 'starting' | 'ready' | 'waiting' | 'failed';

/** Runs one job of a series; null when the series was interrupted before the job began. */
export type RunPart = (job: Job, place: SeriesPlace) => Promise<JobResult | null>;

type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface SupervisorOptions {
  /** Path of the module that `fork` runs. */
  entry: string;
  /** Node's own flags for it; a loader under which this process runs must be named here. */
  execArgv?: string[];
  settings: EngineSettings;
  log?: (level: LogLevel, message: string, fields: Record<string, unknown>) => void;
  /** Called for every end that was not asked for. */
  onExit?: (signal: string | null, code: number | null) => void;
  backoff?: BackoffLimits;
  watchdog?: WatchdogLimits;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #backoffLimits: BackoffLimits;
  readonly #backoff: ReturnType<typeof createBackoff>;
  readonly #calls: PendingCalls;
  #waiters: { resolve(): void; reject(error: Error): void }[] = [];
  #child: EngineChild | null = null;
  #state: EngineState = 'stopped';
  #reason: string | null = null;
  /** What a start failed with, in the engine's own words. */
  #startError: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #failedAtMs = 0;
  /** Set when the watchdog kills: ms without a sign of life. */
  #silentMs: number | null = null;
  #restarts = 0;
  #job: RunningTask | null = null;
  #lastJobTimestamp = '0';
  readonly #memory = new MemoryGauge();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#backoffLimits = options.backoff ?? BACKOFF_LIMITS;
    this.#backoff = createBackoff(this.#backoffLimits);
    this.#calls = new PendingCalls(options.watchdog ?? WATCHDOG_LIMITS, (silentMs) => {
      this.#silentMs = silentMs;
      this.#child?.kill();
    });
  }

  /** State for `/health/ready`; `reason` says why the engine is not ready. */
  status(): {
    state: EngineState;
    reason: string | null;
    pid: number | null;
    restarts: number;
    busy: boolean;
  } {
    return {
      state: this.#state,
      reason: this.#reason,
      pid: this.#child?.pid ?? null,
      restarts: this.#restarts,
      busy: this.#calls.isBusy,
    };
  }

  /** The running job, null when idle. */
  progress(): ProgressSnapshot | null {
    return this.#job === null ? null : snapshot(this.#job.record);
  }

  /** `job_timestamp` of the running or the last job; `"0"` before the first. */
  lastJobTimestamp(): string {
    return this.#lastJobTimestamp;
  }

  /** Starts the process; a second call does nothing. */
  start(): void {
    if (this.#state === 'stopped') this.#spawn();
  }

  /**
   * Runs one job; the caller sees to it that there is only one.
   *
   * @param job     every name resolved, every number checked
   * @param taskId  id for `/internal/progress`
   * @param signal  aborting it interrupts the job, which then still answers with what it has
   * @throws EngineError with the domain's code, or ENGINE_EXITED, ENGINE_HUNG, CHECKPOINT_CHANGED,
   *   ENGINE_UNAVAILABLE, ENGINE_BUSY
   */
  async run(job: Job, taskId: string, signal?: AbortSignal): Promise<JobResult> {
    await this.#whenReady(false);
    return this.#track(taskId, signal, (task) => this.#runPart(task, job, WHOLE, signal));
  }

  /**
   * Runs several jobs as one task: one record of progress, and an interruption ends them all.
   *
   * @param work  hands over one job after the other; what it returns or throws is passed on
   * @throws EngineError as `run` does
   */
  async runSeries<T>(
    taskId: string,
    signal: AbortSignal | undefined,
    work: (run: RunPart) => Promise<T>,
  ): Promise<T> {
    return this.#track(taskId, signal, (task) =>
      work(async (job, place) => {
        if (task.record.interrupted) return null;
        await this.#whenReady(false);
        return this.#runPart(task, job, place, signal);
      }),
    );
  }

  async #track<T>(
    taskId: string,
    signal: AbortSignal | undefined,
    work: (task: RunningTask) => Promise<T>,
  ): Promise<T> {
    if (this.#job !== null) throw busy();
    const task: RunningTask = { id: null, place: WHOLE, record: startProgress(taskId) };
    this.#job = task;
    this.#lastJobTimestamp = task.record.jobTimestamp;
    const interrupt = () => this.interrupt();
    signal?.addEventListener('abort', interrupt, { once: true });
    try {
      return await work(task);
    } finally {
      signal?.removeEventListener('abort', interrupt);
      this.#job = null;
    }
  }

  async #runPart(
    task: RunningTask,
    job: Job,
    place: SeriesPlace,
    signal: AbortSignal | undefined,
  ): Promise<JobResult> {
    const { id, answer } = this.#call({ type: 'run', job });
    task.id = id;
    task.place = place;
    task.record.skipped = false;
    if (signal?.aborted === true) this.interrupt();
    return answer.finally(() => {
      task.id = null;
    });
  }

  /**
   * Loads a checkpoint now; after a crash loop this is also what tries again.
   *
   * @throws EngineError as `run` does
   */
  async load(checkpoint: ModelFile, vae: ModelFile | null): Promise<void> {
    await this.#whenReady(true);
    await this.#call({ type: 'load', checkpoint, vae }).answer;
  }

  /** Gives back the engine's sessions. */
  async unload(): Promise<void> {
    await this.#whenReady(false);
    await this.#call({ type: 'unload' }).answer;
  }

  /** Ends the running job before its next model call; false when there is none. */
  interrupt(): boolean {
    return this.#control({ interrupted: true, skipped: false });
  }

  /** Ends the running iteration before its next model call; false when there is none. */
  skip(): boolean {
    return this.#control({ interrupted: false, skipped: true });
  }

  /**
   * Bytes the engine uses; the last known numbers while a step blocks it.
   *
   * @returns null before the first answer, or when there is no engine
   */
  async memory(): Promise<EngineMemory | null> {
    if (this.#state !== 'ready') return null;
    return this.#memory.read(() => this.#call({ type: 'memory' }).answer, this.#calls.isBusy);
  }

  /** Stops the process for good; what is in flight is rejected with ENGINE_UNAVAILABLE. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#reason = 'The server is shutting down.';
    clearTimeout(this.#timer);
    this.#rejectWaiters();
    this.#calls.rejectAll(this.#unavailable());
    await this.#child?.leave();
  }

  #spawn(): void {
    const { entry, execArgv = process.execArgv, settings } = this.#options;
    this.#state = 'starting';
    this.#reason = 'The engine is starting.';
    this.#startError = null;
    const child = forkEngine(entry, execArgv, {
      onReply: (reply) => this.#receive(reply),
      onExit: (code, signal) => this.#exited(code, signal),
      onOutput: (level, text) => this.#log(level, 'engine output', { text }),
    });
    this.#child = child;
    this.#timer = setTimeout(() => {
      this.#startError = `The engine was not ready after ${START_MS / 1000} s.`;
      child.kill();
    }, START_MS);
    child.send({ type: 'init', settings });
  }

  #receive(reply: EngineReply): void {
    switch (reply.type) {
      case 'ready':
        clearTimeout(this.#timer);
        this.#state = 'ready';
        this.#reason = null;
        this.#log('info', 'engine ready', { pid: this.#child?.pid });
        for (const { resolve } of this.#waiters.splice(0)) resolve();
        return;
      case 'fatal':
        this.#startError = reply.error.message;
        this.#log('error', 'engine cannot start', { error: reply.error });
        this.#child?.kill();
        return;
      case 'log':
        this.#log('info', reply.message, reply.fields);
        return;
      case 'progress':
        this.#beat(reply.id);
        if (this.#job?.id === reply.id) {
          this.#job.record.progress = placeProgress(reply.progress, this.#job.place);
        }
        return;
      case 'preview':
        if (this.#job?.id === reply.id) {
          this.#job.record.preview = reply.preview;
          this.#job.record.previewId += 1;
        }
        return;
      case 'done':
        this.#beat(reply.id);
        this.#calls.resolve(reply.id, reply.value);
        return;
      case 'failed': {
        const { code, message, stack } = reply.error;
        this.#log('warn', 'engine call failed', { code, error: message, stack });
        // A clear refusal is work, too: the process is sound.
        this.#beat(reply.id);
        this.#calls.reject(reply.id, fromErrorRecord(reply.error));
        return;
      }
    }
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    const error = describeExit(code, signal, this.#silentMs);
    const wasLoading = this.#state === 'starting' || this.#calls.isLoading;
    clearTimeout(this.#timer);
    this.#child = null;
    this.#silentMs = null;
    this.#memory.forget();
    this.#calls.rejectAll(error);
    if (this.#state === 'stopped') return;
    this.#options.onExit?.(signal, code);
    this.#log('error', 'engine exited', { code, signal, error: error.message });
    // What the engine said before it ended tells more than how it ended.
    const cause = this.#startError ?? error.message;
    const delayMs = this.#backoff.exited(wasLoading);
    if (delayMs === null) {
      this.#state = 'failed';
      this.#failedAtMs = performance.now();
      this.#reason = `The engine keeps failing: ${cause}`;
      this.#rejectWaiters();
      return;
    }
    this.#state = 'waiting';
    this.#reason = `${cause} It is being started again.`;
    this.#timer = setTimeout(() => {
      this.#restarts += 1;
      this.#spawn();
    }, delayMs);
  }

  #call<C extends EngineCall>(call: C): { id: number; answer: Promise<EngineAnswers[C['type']]> } {
    if (call.type !== 'memory' && this.#calls.isBusy) {
      throw busy();
    }
    const opened = this.#calls.open<C['type']>(call.type, measureWork(call));
    this.#child?.send({ ...call, id: opened.id });
    return opened;
  }

  #beat(id: number): void {
    if (this.#calls.beat(id)) this.#backoff.worked();
  }

  #control(flags: { interrupted: boolean; skipped: boolean }): boolean {
    if (this.#job === null) return false;
    const { id, record } = this.#job;
    record.interrupted ||= flags.interrupted;
    record.skipped ||= flags.skipped;
    if (id !== null) this.#child?.send({ type: 'control', id, ...flags });
    return true;
  }

  /** Resolves when the engine takes calls; `retry` starts it again after a crash loop. */
  #whenReady(retry: boolean): Promise<void> {
    if (this.#state === 'ready') return Promise.resolve();
    const cooledMs = performance.now() - this.#failedAtMs;
    if (this.#state === 'failed' && (retry || cooledMs > this.#backoffLimits.loopWindowMs)) {
      this.#backoff.worked();
      this.#restarts += 1;
      this.#spawn();
    }
    if (this.#state === 'failed' || this.#state === 'stopped') {
      return Promise.reject(this.#unavailable());
    }
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  #rejectWaiters(): void {
    for (const { reject } of this.#waiters.splice(0)) reject(this.#unavailable());
  }

  #unavailable(): EngineError {
    return new EngineError('ENGINE_UNAVAILABLE', this.#reason ?? 'The engine is not running.');
  }

  #log(level: LogLevel, message: string, fields: Record<string, unknown>): void {
    this.#options.log?.(level, message, fields);
  }
}

function busy(): EngineError {
  return new EngineError('ENGINE_BUSY', 'The engine already works on another request.');
}

/** Pixels of a batch in units of one 1024 x 1024 picture, 1 for less and for what is no job. */
function measureWork(call: EngineCall): number {
  if (call.type !== 'run') return 1;
  const { job } = call;
  if (job.kind === 'upscale' || job.kind === 'caption') return 1;
  const { batchSize } = job;
  const { width, height } = job.kind === 'txt2img' && job.hires ? job.hires.enlarged : job;
  return Math.max(1, (width * height * batchSize) / WORK_UNIT_PIXELS);
}
