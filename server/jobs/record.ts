/** One job of the job API, from its submission until it is forgotten. */
import type { ErrorAnswer } from '../errors.ts';

/** `interrupted` ended early and has what it had come to; `cancelled` never ran. */
export type JobStatus = 'pending' | 'running' | 'done' | 'failed' | 'interrupted' | 'cancelled';

/** Where to tell that a job has ended. */
export interface Callback {
  url: string;
  /** `json` carries the answer; `multipart` the pictures as files, as agent-scheduler sends them. */
  form: 'json' | 'multipart';
}

/** What a job is made of; this is also what survives a restart. */
export interface JobSpec {
  readonly id: string;
  /** Name of a kind in `routes/job-kinds`. */
  readonly kind: string;
  /** The request as it came. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly callback: Callback | null;
  readonly name: string | null;
  /** Milliseconds since 1970. */
  readonly createdMs: number;
  /** How often it began to run: a job that was cut off twice is not tried again. */
  readonly starts: number;
}

export interface JobRecord extends JobSpec {
  name: string | null;
  starts: number;
  /** Marked by a user: forgotten last. */
  isBookmarked: boolean;
  status: JobStatus;
  startedMs: number | null;
  endedMs: number | null;
  /** Bytes of `body` as JSON. */
  readonly bodyBytes: number;
  /** The 200 answer as JSON, for `done` and `interrupted`. */
  answer: Buffer | null;
  /** What the synchronous endpoint would have answered, for `failed`. */
  error: ErrorAnswer | null;
  /** Aborting it takes the job out of the queue, or interrupts it. */
  readonly controller: AbortController;
}

/** Makes the record of a job that waits. */
export function createRecord(spec: JobSpec): JobRecord {
  return {
    ...spec,
    isBookmarked: false,
    status: 'pending',
    startedMs: null,
    endedMs: null,
    bodyBytes: Buffer.byteLength(JSON.stringify(spec.body)),
    answer: null,
    error: null,
    controller: new AbortController(),
  };
}

/** Whether nothing more happens to a job. */
export function hasEnded({ status }: Pick<JobRecord, 'status'>): boolean {
  return status !== 'pending' && status !== 'running';
}
