/** Bounded first-in, first-out queues behind one engine: one task runs, the others wait. */
import { HttpError } from './errors.ts';

/** Ids of ended tasks that are remembered, as A1111 does. */
const REMEMBERED = 16;
/** Durations that the average is taken over. */
const AVERAGED = 16;
/** Bounds of the advice when to come back, seconds. */
const MIN_RETRY_SECONDS = 1;
const MAX_RETRY_SECONDS = 120;

/** How a task waits. */
export interface WaitOptions {
  /** Aborting it removes a waiting task; a running one has to look at it itself. */
  signal?: AbortSignal | undefined;
  /**
   * Whether nobody waits for it over a connection: such tasks can be paused, and they fill places of
   * their own, so that they never keep out those who wait.
   */
  isDetached?: boolean;
}

interface Task {
  id: string;
  isDetached: boolean;
  /** Whether it waits although the queue is paused; set for a single task that is to run now. */
  isHeld: boolean;
  start(): void;
  cancel(error: Error): void;
}

export class JobQueue {
  readonly limit: number;
  #running: string | null = null;
  #waiting: Task[] = [];
  #finished: string[] = [];
  #seconds: number[] = [];
  #closed: HttpError | null = null;
  #isPaused = false;
  #onIdle: (() => void)[] = [];

  /** @param limit  tasks that may wait behind the running one, detached ones and others each */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Id of the running task. */
  get running(): string | null {
    return this.#running;
  }

  /** Ids of the waiting tasks, the next one first. */
  get waiting(): string[] {
    return this.#waiting.map(({ id }) => id);
  }

  /** Ids of the last tasks that ended, well or not. */
  get finished(): readonly string[] {
    return this.#finished;
  }

  /** Seconds per task over the last ones; null before the first. */
  get averageSeconds(): number | null {
    if (this.#seconds.length === 0) return null;
    return this.#seconds.reduce((sum, value) => sum + value, 0) / this.#seconds.length;
  }

  /** Whether detached tasks wait until `resume`. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Waits for its turn and runs a task.
   *
   * @param id    shown by `/internal/pending-tasks`
   * @param work  called when it is the task's turn
   * @returns what `work` returns
   * @throws HttpError QUEUE_FULL or SHUTTING_DOWN; the signal's reason; what `work` throws
   */
  add<T>(id: string, work: () => Promise<T>, wait: WaitOptions = {}): Promise<T> {
    const { signal, isDetached = false } = wait;
    const refusal = this.refusal(isDetached);
    if (refusal !== null) return Promise.reject(refusal);
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise<T>((resolve, reject) => {
      const leave = () => {
        this.#waiting = this.#waiting.filter((other) => other !== task);
        reject(signal?.reason);
      };
      const task: Task = {
        id,
        isDetached,
        isHeld: isDetached,
        start: () => {
          signal?.removeEventListener('abort', leave);
          this.#run(id, work).then(resolve, reject);
        },
        cancel: (error) => {
          signal?.removeEventListener('abort', leave);
          reject(error);
        },
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(task);
      this.#next();
    });
  }

  /** Why a task would not be taken now; null when it would. */
  refusal(isDetached: boolean): HttpError | null {
    if (this.#closed !== null) return this.#closed;
    const isFree = this.#running === null && !(isDetached && this.#isPaused);
    const waiting = this.#waiting.filter((task) => task.isDetached === isDetached).length;
    return !isFree && waiting >= this.limit ? this.#full() : null;
  }

  /** Keeps detached tasks waiting; the running one goes on. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Lets detached tasks run again. */
  resume(): void {
    this.#isPaused = false;
    this.#next();
  }

  /**
   * Puts a waiting task to the front, to the back, or before another one.
   *
   * @returns false when either does not wait
   */
  move(id: string, to: 'front' | 'back' | { before: string }): boolean {
    const task = this.#waiting.find((other) => other.id === id);
    if (task === undefined) return false;
    const rest = this.#waiting.filter((other) => other !== task);
    const ends = { front: 0, back: rest.length };
    const at =
      typeof to === 'string' ? ends[to] : rest.findIndex((other) => other.id === to.before);
    if (at < 0) return false;
    this.#waiting = [...rest.slice(0, at), task, ...rest.slice(at)];
    return true;
  }

  /** Makes a waiting task the next one, also while the queue is paused; false when it does not wait. */
  runNext(id: string): boolean {
    if (!this.move(id, 'front')) return false;
    for (const task of this.#waiting) if (task.id === id) task.isHeld = false;
    this.#next();
    return true;
  }

  /** Refuses new tasks and those that wait; the running one goes on. */
  close(): void {
    this.#closed = new HttpError('SHUTTING_DOWN', 'The server is shutting down.');
    for (const task of this.#waiting.splice(0)) task.cancel(this.#closed);
  }

  /** Resolves when nothing runs. */
  idle(): Promise<void> {
    if (this.#running === null) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  async #run<T>(id: string, work: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    try {
      return await work();
    } finally {
      this.#seconds = [...this.#seconds, (performance.now() - startedMs) / 1000].slice(-AVERAGED);
      this.#finished = [...this.#finished, id].slice(-REMEMBERED);
      this.#running = null;
      this.#next();
    }
  }

  #next(): void {
    if (this.#running !== null) return;
    const task = this.#waiting.find(({ isHeld }) => !(isHeld && this.#isPaused));
    if (task === undefined) {
      for (const resolve of this.#onIdle.splice(0)) resolve();
      return;
    }
    this.#waiting = this.#waiting.filter((other) => other !== task);
    this.#running = task.id;
    task.start();
  }

  #full(): HttpError {
    const wait = (this.averageSeconds ?? 0) * this.#waiting.length;
    const seconds = Math.min(Math.max(Math.ceil(wait), MIN_RETRY_SECONDS), MAX_RETRY_SECONDS);
    return new HttpError(
      'QUEUE_FULL',
      `Expected at most ${this.limit} waiting jobs; the queue is full.`,
      seconds,
    );
  }
}
