/** What the routes call: jobs and other work for the engine process, one at a time. */
import type { EngineMemory, Job, JobResult, ModelFile } from '../../pipelines/job.ts';
import { PendingCalls } from './calls.ts';
import { type CallReply, EngineLifecycle, type LifecycleOptions } from './lifecycle.ts';
import { MemoryGauge } from './memory-gauge.ts';
import {
  type ProgressSnapshot,
  placeProgress,
  type RunningTask,
  type SeriesPlace,
  snapshot,
  startProgress,
} from './progress.ts';
import { type EngineAnswers, type EngineCall, EngineError, fromErrorRecord } from './protocol.ts';
import { WATCHDOG_LIMITS, type WatchdogLimits } from './watchdog.ts';

export type { ProgressSnapshot } from './progress.ts';

/** The place of a job that is not part of a series. */
const WHOLE: SeriesPlace = { index: 0, count: 1 };
/** Pixels whose first step surely ends within the watchdog's `loadMs`. */
const WORK_UNIT_PIXELS = 1_024 * 1_024;

/** Runs one job of a series; null when the series was interrupted before the job began. */
export type RunPart = (job: Job, place: SeriesPlace) => Promise<JobResult | null>;

export interface SupervisorOptions extends LifecycleOptions {
  watchdog?: WatchdogLimits;
}

export class Supervisor {
  readonly #life: EngineLifecycle;
  readonly #calls: PendingCalls;
  #job: RunningTask | null = null;
  #lastJobTimestamp = '0';
  readonly #memory = new MemoryGauge();

  constructor({ watchdog = WATCHDOG_LIMITS, ...options }: SupervisorOptions) {
    this.#calls = new PendingCalls(watchdog, (silentMs) => this.#life.killSilent(silentMs));
    this.#life = new EngineLifecycle(options, {
      onReply: (reply) => this.#receive(reply),
      onLost: (error) => this.#lost(error),
    });
  }

  /** State for `/health/ready`; `reason` says why the engine is not ready. */
  status(): ReturnType<EngineLifecycle['status']> & { busy: boolean } {
    return { ...this.#life.status(), busy: this.#calls.isBusy };
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
    this.#life.start();
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
    await this.#life.whenReady(false);
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
        await this.#life.whenReady(false);
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
    await this.#life.whenReady(true);
    await this.#call({ type: 'load', checkpoint, vae }).answer;
  }

  /** Gives back the engine's sessions. */
  async unload(): Promise<void> {
    await this.#life.whenReady(false);
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
    if (this.#life.state !== 'ready') return null;
    return this.#memory.read(() => this.#call({ type: 'memory' }).answer, this.#calls.isBusy);
  }

  /** Stops the process for good; what is in flight is rejected with ENGINE_UNAVAILABLE. */
  async stop(): Promise<void> {
    const ended = this.#life.stop();
    this.#calls.rejectAll(this.#life.unavailable());
    await ended;
  }

  #receive(reply: CallReply): void {
    switch (reply.type) {
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
        this.#life.log('warn', 'engine call failed', { code, error: message, stack });
        // A clear refusal is work, too: the process is sound.
        this.#beat(reply.id);
        this.#calls.reject(reply.id, fromErrorRecord(reply.error));
        return;
      }
    }
  }

  #lost(error: EngineError): boolean {
    const { isLoading } = this.#calls;
    this.#memory.forget();
    this.#calls.rejectAll(error);
    return isLoading;
  }

  #call<C extends EngineCall>(call: C): { id: number; answer: Promise<EngineAnswers[C['type']]> } {
    if (call.type !== 'memory' && this.#calls.isBusy) {
      throw busy();
    }
    const opened = this.#calls.open<C['type']>(call.type, measureWork(call));
    this.#life.send({ ...call, id: opened.id });
    return opened;
  }

  #beat(id: number): void {
    if (this.#calls.beat(id)) this.#life.worked();
  }

  #control(flags: { interrupted: boolean; skipped: boolean }): boolean {
    if (this.#job === null) return false;
    const { id, record } = this.#job;
    record.interrupted ||= flags.interrupted;
    record.skipped ||= flags.skipped;
    if (id !== null) this.#life.send({ type: 'control', id, ...flags });
    return true;
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
