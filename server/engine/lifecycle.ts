/** The life of the engine process: starts, restarts, the end, and whether it takes calls. */
import type { EngineSettings } from '../../pipelines/job.ts';
import { BACKOFF_LIMITS, type BackoffLimits, createBackoff } from './backoff.ts';
import { type EngineChild, forkEngine } from './child.ts';
import { describeExit } from './exit.ts';
import { EngineError, type EngineReply, type EngineRequest } from './protocol.ts';

/** How long the process may take until it is ready, ms; no model is loaded in this time. */
const START_MS = 60_000;

/** `waiting` is the time before the next start; `failed` is a crash loop. */
export type EngineState = 'stopped' | 'starting' | 'ready' | 'waiting' | 'failed';

/** Replies that belong to a call. */
export type CallReply = Exclude<EngineReply, { type: 'ready' | 'fatal' | 'log' }>;

type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LifecycleOptions {
  /** Path of the module that `fork` runs. */
  entry: string;
  /** Node's own flags for it; a loader under which this process runs must be named here. */
  execArgv?: string[];
  settings: EngineSettings;
  log?: (level: LogLevel, message: string, fields: Record<string, unknown>) => void;
  /** Called for every end that was not asked for. */
  onExit?: (signal: string | null, code: number | null) => void;
  backoff?: BackoffLimits;
}

export interface LifecycleHandlers {
  onReply(reply: CallReply): void;
  /** The process is gone, whoever wanted it; returns whether it was loading a model for a call. */
  onLost(error: EngineError): boolean;
}

/** One process after the other; it knows nothing of what calls ask for. */
export class EngineLifecycle {
  readonly #options: LifecycleOptions;
  readonly #handlers: LifecycleHandlers;
  readonly #backoffLimits: BackoffLimits;
  readonly #backoff: ReturnType<typeof createBackoff>;
  #waiters: { resolve(): void; reject(error: Error): void }[] = [];
  #child: EngineChild | null = null;
  #state: EngineState = 'stopped';
  #reason: string | null = null;
  /** What a start failed with, in the engine's own words. */
  #startError: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #failedAtMs = 0;
  /** Set when a silent process is killed: ms without a sign of life. */
  #silentMs: number | null = null;
  #restarts = 0;

  constructor(options: LifecycleOptions, handlers: LifecycleHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#backoffLimits = options.backoff ?? BACKOFF_LIMITS;
    this.#backoff = createBackoff(this.#backoffLimits);
  }

  get state(): EngineState {
    return this.#state;
  }

  /** `reason` says why the engine is not ready. */
  status(): { state: EngineState; reason: string | null; pid: number | null; restarts: number } {
    return {
      state: this.#state,
      reason: this.#reason,
      pid: this.#child?.pid ?? null,
      restarts: this.#restarts,
    };
  }

  /** Starts the process; a second call does nothing. */
  start(): void {
    if (this.#state === 'stopped') this.#spawn();
  }

  /** Drops the request when there is no process. */
  send(request: EngineRequest): void {
    this.#child?.send(request);
  }

  /** Kills a process that showed no sign of life for so many ms. */
  killSilent(silentMs: number): void {
    this.#silentMs = silentMs;
    this.#child?.kill();
  }

  /** Notes that the process works: whatever ends it now is not a broken start. */
  worked(): void {
    this.#backoff.worked();
  }

  /**
   * Resolves when the engine takes calls.
   *
   * @param retry  start it again after a crash loop
   * @throws EngineError ENGINE_UNAVAILABLE
   */
  whenReady(retry: boolean): Promise<void> {
    if (this.#state === 'ready') return Promise.resolve();
    const cooledMs = performance.now() - this.#failedAtMs;
    if (this.#state === 'failed' && (retry || cooledMs > this.#backoffLimits.loopWindowMs)) {
      this.#backoff.worked();
      this.#restarts += 1;
      this.#spawn();
    }
    if (this.#state === 'failed' || this.#state === 'stopped') {
      return Promise.reject(this.unavailable());
    }
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** The error of a call that cannot be made now. */
  unavailable(): EngineError {
    return new EngineError('ENGINE_UNAVAILABLE', this.#reason ?? 'The engine is not running.');
  }

  /** Stops the process for good; who waits for it is rejected with ENGINE_UNAVAILABLE. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#reason = 'The server is shutting down.';
    clearTimeout(this.#timer);
    this.#rejectWaiters();
    await this.#child?.leave();
  }

  /** Writes to the log of whoever made this; does nothing without one. */
  log(level: LogLevel, message: string, fields: Record<string, unknown>): void {
    this.#options.log?.(level, message, fields);
  }

  #spawn(): void {
    const { entry, execArgv = process.execArgv, settings } = this.#options;
    this.#state = 'starting';
    this.#reason = 'The engine is starting.';
    this.#startError = null;
    const child = forkEngine(entry, execArgv, {
      onReply: (reply) => this.#receive(reply),
      onExit: (code, signal) => this.#exited(code, signal),
      onOutput: (level, text) => this.log(level, 'engine output', { text }),
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
        this.log('info', 'engine ready', { pid: this.#child?.pid });
        for (const { resolve } of this.#waiters.splice(0)) resolve();
        return;
      case 'fatal':
        this.#startError = reply.error.message;
        this.log('error', 'engine cannot start', { error: reply.error });
        this.#child?.kill();
        return;
      case 'log':
        this.log('info', reply.message, reply.fields);
        return;
      default:
        this.#handlers.onReply(reply);
    }
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    const error = describeExit(code, signal, this.#silentMs);
    clearTimeout(this.#timer);
    this.#child = null;
    this.#silentMs = null;
    const wasLoading = this.#handlers.onLost(error) || this.#state === 'starting';
    if (this.#state === 'stopped') return;
    this.#options.onExit?.(signal, code);
    this.log('error', 'engine exited', { code, signal, error: error.message });
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

  #rejectWaiters(): void {
    for (const { reject } of this.#waiters.splice(0)) reject(this.unavailable());
  }
}
