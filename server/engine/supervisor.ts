/** Starts, watches and restarts the engine process; what the routes call. */
import { type ChildProcess, fork } from 'node:child_process';
import type {
  EngineMemory,
  EngineSettings,
  Job,
  JobResult,
  ModelFile,
} from '../../pipelines/job.ts';
import { BACKOFF_LIMITS, type BackoffLimits, createBackoff } from './backoff.ts';
import { describeExit } from './exit.ts';
import { type ProgressRecord, type ProgressSnapshot, snapshot, startProgress } from './progress.ts';
import {
  type EngineAnswers,
  type EngineCall,
  EngineError,
  type EngineReply,
  type EngineRequest,
  fromErrorRecord,
} from './protocol.ts';
import { createWatchdog, WATCHDOG_LIMITS, type WatchdogLimits } from './watchdog.ts';

export type { ProgressSnapshot } from './progress.ts';

/** How long a question about memory may wait for a step to end, ms. */
const MEMORY_ANSWER_MS = 250;
/** How long the engine gets to leave by itself once the channel is closed, ms. */
const LEAVE_MS = 1_000;

export type EngineState = 'stopped' | 'starting' | 'ready' | 'waiting' | 'failed';

export interface SupervisorOptions {
  /** Path of the module that `fork` runs. */
  entry: string;
  /** Node's own flags for it; a loader under which this process runs must be named here. */
  execArgv?: string[];
  settings: EngineSettings;
  /** `error` fields, never prompts. */
  log?: (
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields: Record<string, unknown>,
  ) => void;
  onExit?: (signal: string | null, code: number | null) => void;
  onStep?: () => void;
  backoff?: BackoffLimits;
  watchdog?: WatchdogLimits;
}

interface Pending {
  type: EngineCall['type'];
  resolve(value: unknown): void;
  reject(error: Error): void;
  /** Signs of life, for calls that may hang. */
  watchdog: ReturnType<typeof createWatchdog> | null;
  /** Steps or results came: the engine did not die of loading. */
  stepped: boolean;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #backoff;
  readonly #pending = new Map<number, Pending>();
  #waiters: { resolve(): void; reject(error: Error): void }[] = [];
  #child: ChildProcess | null = null;
  #state: EngineState = 'stopped';
  #reason: string | null = null;
  #restartTimer: NodeJS.Timeout | undefined;
  #failedAtMs = 0;
  #silentMs: number | null = null;
  #nextId = 1;
  #restarts = 0;
  #job: { id: number; record: ProgressRecord } | null = null;
  #lastJobTimestamp = '0';
  #lastMemory: EngineMemory | null = null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#backoff = createBackoff(options.backoff ?? BACKOFF_LIMITS);
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
      busy: [...this.#pending.values()].some(({ type }) => type !== 'memory'),
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
    const record = startProgress(taskId);
    this.#lastJobTimestamp = record.jobTimestamp;
    await this.#whenReady(false);
    const id = this.#nextId;
    this.#job = { id, record };
    const interrupt = () => this.interrupt();
    signal?.addEventListener('abort', interrupt, { once: true });
    try {
      const answer = this.#call({ type: 'run', job });
      if (signal?.aborted === true) interrupt();
      return await answer;
    } finally {
      signal?.removeEventListener('abort', interrupt);
      this.#job = null;
    }
  }

  /**
   * Loads a checkpoint now; after a crash loop this is also what tries again.
   *
   * @throws EngineError as `run` does
   */
  async load(checkpoint: ModelFile, vae: ModelFile | null): Promise<void> {
    await this.#whenReady(true);
    await this.#call({ type: 'load', checkpoint, vae });
  }

  /** Gives back the engine's sessions. */
  async unload(): Promise<void> {
    await this.#whenReady(false);
    await this.#call({ type: 'unload' });
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
    const late = new Promise<null>((resolve) => setTimeout(resolve, MEMORY_ANSWER_MS, null));
    const answer = this.#call({ type: 'memory' }).catch(() => null);
    void answer.then((memory) => {
      if (memory !== null) this.#lastMemory = memory;
    });
    return (await Promise.race([answer, late])) ?? this.#lastMemory;
  }

  /** Stops the process for good; a job in flight is rejected. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#state = 'stopped';
    this.#reason = 'The server is shutting down.';
    clearTimeout(this.#restartTimer);
    this.#rejectWaiters();
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(this.#unavailable());
    if (child === null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill('SIGKILL'), LEAVE_MS);
    await gone;
    clearTimeout(timer);
  }

  #spawn(): void {
    const { entry, execArgv = process.execArgv, settings } = this.#options;
    const child = fork(entry, [], {
      serialization: 'advanced',
      execArgv,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#state = 'starting';
    this.#reason = 'The engine is starting.';
    child.on('message', (reply) => this.#receive(reply as EngineReply));
    child.on('error', (error) => this.#log('error', 'engine channel', { error: error.message }));
    child.on('exit', (code, signal) => this.#exited(code, signal));
    child.stdout?.on('data', (data: Buffer) => this.#output('debug', data));
    child.stderr?.on('data', (data: Buffer) => this.#output('warn', data));
    this.#send({ type: 'init', settings });
  }

  #receive(reply: EngineReply): void {
    switch (reply.type) {
      case 'ready':
        this.#state = 'ready';
        this.#reason = null;
        this.#log('info', 'engine ready', { pid: this.#child?.pid });
        for (const { resolve } of this.#waiters.splice(0)) resolve();
        return;
      case 'fatal':
        this.#reason = reply.error.message;
        this.#log('error', 'engine cannot start', { error: reply.error });
        this.#child?.kill('SIGKILL');
        return;
      case 'log':
        this.#log('info', reply.message, reply.fields);
        return;
      case 'progress':
        this.#beat(reply.id);
        this.#options.onStep?.();
        if (this.#job?.id === reply.id) this.#job.record.progress = reply.progress;
        return;
      case 'preview':
        if (this.#job?.id === reply.id) {
          this.#job.record.preview = reply.preview;
          this.#job.record.previewId += 1;
        }
        return;
      case 'done':
        this.#beat(reply.id);
        this.#take(reply.id)?.resolve(reply.value);
        return;
      case 'failed': {
        const { code, message, stack } = reply.error;
        this.#log('warn', 'engine call failed', { code, error: message, stack });
        // A clear refusal is work, too: the process is sound.
        this.#backoff.worked();
        this.#take(reply.id)?.reject(fromErrorRecord(reply.error));
        return;
      }
    }
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    const error = describeExit(code, signal, this.#silentMs);
    const busy = [...this.#pending.values()].filter(({ type }) => type !== 'memory');
    const loading = this.#state === 'starting' || busy.some(({ stepped }) => !stepped);
    this.#child = null;
    this.#silentMs = null;
    this.#lastMemory = null;
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(error);
    if (this.#state === 'stopped') return;
    this.#options.onExit?.(signal, code);
    this.#log('error', 'engine exited', { code, signal, error: error.message });
    const startError = this.#state === 'starting' ? this.#reason : null;
    const delayMs = this.#backoff.exited(loading);
    if (delayMs === null) {
      this.#state = 'failed';
      this.#failedAtMs = performance.now();
      this.#reason = `The engine keeps failing: ${startError ?? error.message}`;
      this.#rejectWaiters();
      return;
    }
    this.#state = 'waiting';
    this.#reason = `${error.message} It is being started again.`;
    this.#restartTimer = setTimeout(() => {
      this.#restarts += 1;
      this.#spawn();
    }, delayMs);
  }

  /** Sends a call and waits for its one answer. */
  #call<C extends EngineCall>(call: C): Promise<EngineAnswers[C['type']]> {
    if (call.type !== 'memory' && this.status().busy) {
      throw new EngineError('ENGINE_BUSY', 'The engine already works on another request.');
    }
    const id = this.#nextId++;
    const watchdog =
      call.type === 'memory'
        ? null
        : createWatchdog(this.#options.watchdog ?? WATCHDOG_LIMITS, (silentMs) => {
            this.#silentMs = silentMs;
            this.#child?.kill('SIGKILL');
          });
    return new Promise((resolve, reject) => {
      this.#pending.set(id, {
        type: call.type,
        resolve: resolve as (value: unknown) => void,
        reject,
        watchdog,
        stepped: false,
      });
      this.#send({ ...call, id });
    });
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    pending?.watchdog?.stop();
    this.#pending.delete(id);
    return pending;
  }

  #beat(id: number): void {
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.type === 'memory') return;
    pending.watchdog?.beat();
    pending.stepped = true;
    this.#backoff.worked();
  }

  #control(flags: { interrupted: boolean; skipped: boolean }): boolean {
    if (this.#job === null) return false;
    const { id, record } = this.#job;
    record.interrupted ||= flags.interrupted;
    record.skipped ||= flags.skipped;
    this.#send({ type: 'control', id, ...flags });
    return true;
  }

  #send(request: EngineRequest): void {
    // A dead engine is noticed by its exit, which rejects what is pending.
    if (this.#child?.connected === true) this.#child.send(request, () => {});
  }

  /** Resolves when the engine takes calls; `retry` starts it again after a crash loop. */
  #whenReady(retry: boolean): Promise<void> {
    if (this.#state === 'ready') return Promise.resolve();
    const { loopWindowMs } = this.#options.backoff ?? BACKOFF_LIMITS;
    const cooled = performance.now() - this.#failedAtMs > loopWindowMs;
    if (this.#state === 'failed' && (retry || cooled)) {
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

  #output(level: 'debug' | 'warn', data: Buffer): void {
    this.#log(level, 'engine output', { text: data.toString('utf8').trim().slice(0, 2_000) });
  }

  #log(
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields: Record<string, unknown>,
  ): void {
    this.#options.log?.(level, message, fields);
  }
}
