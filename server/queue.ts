/** A bounded first-in, first-out queue: one task runs, the others wait. */
import { HttpError } from './errors.ts';

/** Ids of ended tasks that are remembered, as A1111 does. */
const REMEMBERED = 16;
/** Durations that the average is taken over. */
const AVERAGED = 16;
/** Bounds of the advice when to come back, seconds. */
const MIN_RETRY_SECONDS = 1;
const MAX_RETRY_SECONDS = 120;

interface Task {
  id: string;
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
  #onIdle: (() => void)[] = [];

  /** @param limit  tasks that may wait behind the running one */
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

  /**
   * Waits for its turn and runs a task.
   *
   * @param id      shown by `/internal/pending-tasks`
   * @param work    called when it is the task's turn
   * @param signal  aborting it removes a waiting task; a running one has to look at it itself
   * @returns what `work` returns
   * @throws HttpError QUEUE_FULL or SHUTTING_DOWN; the signal's reason; what `work` throws
   */
  add<T>(id: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#running !== null && this.#waiting.length >= this.limit) {
      return Promise.reject(this.#full());
    }
    return new Promise<T>((resolve, reject) => {
      const leave = () => {
        this.#waiting = this.#waiting.filter((other) => other !== task);
        reject(signal?.reason);
      };
      const task: Task = {
        id,
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
    const task = this.#waiting.shift();
    if (task === undefined) {
      for (const resolve of this.#onIdle.splice(0)) resolve();
      return;
    }
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
