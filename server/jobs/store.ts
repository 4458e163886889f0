/** The jobs of the job API: those that wait or run, and for a bounded time those that ended. */
import { type ErrorAnswer, HttpError, toErrorAnswer } from '../errors.ts';
import { createRecord, hasEnded, type JobRecord, type JobSpec, type JobStatus } from './record.ts';

export interface JobLimits {
  /** Milliseconds that an ended job is kept. */
  keptMs: number;
  /** Bytes of requests and answers of ended jobs; the oldest go first. */
  keptBytes: number;
  /** Ended jobs. */
  keptJobs: number;
  /** Bytes of requests that wait: each may carry pictures. */
  pendingBytes: number;
}

export const JOB_LIMITS: JobLimits = {
  keptMs: 3_600_000,
  keptBytes: 256 * 1024 * 1024,
  keptJobs: 1_000,
  // The queue file is one JSON text, and V8 ends texts at 512 Mi characters.
  pendingBytes: 256 * 1024 * 1024,
};

/** Milliseconds between two looks for jobs to forget. */
const SWEEP_MS = 60_000;

type Listener = (job: JobRecord) => void;

export interface JobStoreOptions {
  limits?: JobLimits;
  /** Milliseconds since 1970; tests put a clock of their own here. */
  now?: () => number;
  /** Keeps the jobs that have not ended; called on every change. */
  save?: ((read: () => readonly JobSpec[]) => Promise<void>) | null;
}

export class JobStore {
  readonly #limits: JobLimits;
  readonly #now: () => number;
  readonly #save: JobStoreOptions['save'];
  #saved: Promise<void> = Promise.resolve();
  /** Jobs of an earlier run of the server that are not prepared yet. */
  readonly #unrestored = new Map<string, JobSpec>();
  /** In the order of submission. */
  readonly #jobs = new Map<string, JobRecord>();
  readonly #listeners = new Set<Listener>();
  readonly #sweeper: NodeJS.Timeout;
  #isClosed = false;

  constructor({ limits = JOB_LIMITS, now = Date.now, save = null }: JobStoreOptions = {}) {
    this.#limits = limits;
    this.#now = now;
    this.#save = save;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** Finds a job; undefined when there is none or it was forgotten. */
  get(id: string): JobRecord | undefined {
    const job = this.#jobs.get(id);
    const isOld = job?.endedMs != null && job.endedMs < this.#now() - this.#limits.keptMs;
    return isOld ? undefined : job;
  }

  /** All jobs in the order of submission. */
  list(): JobRecord[] {
    this.#sweep();
    return [...this.#jobs.values()];
  }

  /** Jobs that have not ended. */
  unfinished(): JobRecord[] {
    return [...this.#jobs.values()].filter((job) => !hasEnded(job));
  }

  /** Keeps the jobs of an earlier run among those that are saved until each is added again. */
  expect(specs: readonly JobSpec[]): void {
    for (const spec of specs) this.#unrestored.set(spec.id, spec);
  }

  /** The jobs of an earlier run that were not added again yet. */
  get expected(): JobSpec[] {
    return [...this.#unrestored.values()];
  }

  /** Resolves when the last change is on disk, as far as it can be written. */
  flush(): Promise<void> {
    return this.#saved;
  }

  /** Calls a listener on every change of a job's status, its end included. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes a job and begins its work, which waits for its turn itself.
   *
   * @param work  resolves to the 200 answer; calls `started` when its turn has come
   * @throws HttpError DUPLICATE_JOB, QUEUE_FULL
   */
  add(spec: JobSpec, work: (job: JobRecord) => Promise<unknown>): JobRecord {
    const job = createRecord(spec);
    if (this.get(job.id) !== undefined) {
      throw new HttpError('DUPLICATE_JOB', `There is already a job ${job.id}.`);
    }
    const waiting = this.unfinished().reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
    if (waiting + job.bodyBytes > this.#limits.pendingBytes) {
      const limit = this.#limits.pendingBytes;
      throw new HttpError('QUEUE_FULL', `Expected at most ${limit} bytes of waiting requests.`);
    }
    this.#jobs.set(job.id, job);
    this.#unrestored.delete(job.id);
    this.#changed(job);
    void this.#follow(job, work);
    return job;
  }

  /** Notes a job that could not even be prepared: a request of an earlier run of the server. */
  addFailed(spec: JobSpec, error: unknown): void {
    const job = createRecord(spec);
    this.#jobs.set(job.id, job);
    this.#unrestored.delete(job.id);
    this.#end(job, 'failed', { error: toErrorAnswer(error) });
  }

  /** Notes that a job's turn has come. */
  started(job: JobRecord): void {
    job.status = 'running';
    job.starts += 1;
    job.startedMs = this.#now();
    this.#changed(job);
  }

  /**
   * Ends a job early: one that waits never runs, one that runs ends within a step.
   *
   * @returns false when it has ended already
   */
  cancel(job: JobRecord): boolean {
    if (hasEnded(job)) return false;
    job.controller.abort(new Error('The job was cancelled.'));
    return true;
  }

  /** Forgets an ended job and its answer. */
  forget(job: JobRecord): void {
    if (hasEnded(job)) this.#jobs.delete(job.id);
  }

  /**
   * Leaves the jobs as they are: where they survive a restart, those that the end of the server cuts
   * off have neither failed nor been tried.
   */
  close(): void {
    this.#isClosed = this.#save !== null;
    clearInterval(this.#sweeper);
    const running = this.unfinished().filter(({ status }) => status === 'running');
    for (const job of running) {
      job.starts -= 1;
      this.#changed(job);
    }
  }

  async #follow(job: JobRecord, work: (job: JobRecord) => Promise<unknown>): Promise<void> {
    const { signal } = job.controller;
    try {
      const answer = Buffer.from(JSON.stringify(await work(job)));
      // The answer would end with the server: the job is done again after the restart.
      if (this.#isClosed) return;
      this.#end(job, signal.aborted ? 'interrupted' : 'done', { answer });
    } catch (error) {
      if (this.#isClosed) return;
      if (signal.aborted) this.#end(job, job.startedMs === null ? 'cancelled' : 'interrupted', {});
      else this.#end(job, 'failed', { error: toErrorAnswer(error) });
    }
  }

  #end(
    job: JobRecord,
    status: JobStatus,
    { answer = null, error = null }: { answer?: Buffer | null; error?: ErrorAnswer | null },
  ): void {
    Object.assign(job, { status, answer, error, endedMs: this.#now() });
    this.#changed(job);
    this.#sweep();
  }

  #changed(job: JobRecord): void {
    if (this.#save) {
      this.#saved = this.#save(() => [...this.unfinished(), ...this.#unrestored.values()]);
    }
    for (const listener of [...this.#listeners]) listener(job);
  }

  /** Forgets what is too old, and the oldest of what is too much; bookmarked jobs last. */
  #sweep(): void {
    const { keptMs, keptBytes, keptJobs } = this.#limits;
    const oldest = this.#now() - keptMs;
    const ended = [...this.#jobs.values()].filter(hasEnded);
    for (const job of ended) if ((job.endedMs ?? 0) < oldest) this.#jobs.delete(job.id);
    const kept = ended
      .filter(({ id }) => this.#jobs.has(id))
      .sort(
        (a, b) =>
          Number(a.isBookmarked) - Number(b.isBookmarked) || (a.endedMs ?? 0) - (b.endedMs ?? 0),
      );
    let bytes = kept.reduce((sum, job) => sum + measure(job), 0);
    let count = kept.length;
    for (const job of kept) {
      if (bytes <= keptBytes && count <= keptJobs) break;
      this.#jobs.delete(job.id);
      bytes -= measure(job);
      count -= 1;
    }
  }
}

function measure({ bodyBytes, answer }: JobRecord): number {
  return bodyBytes + (answer?.length ?? 0);
}
