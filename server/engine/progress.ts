/** What is known about the running job, measured with a clock that nobody can set. */
import type { JobPreview, JobProgress } from '../../pipelines/job.ts';

/** One running job as `GET /sdapi/v1/progress` needs it. */
export interface ProgressSnapshot {
  taskId: string;
  /** When the job began, `YYYYMMDDHHMMSS` in local time. */
  jobTimestamp: string;
  /** Seconds since the job began. */
  elapsedSeconds: number;
  /** null until the engine reports its first phase. */
  progress: JobProgress | null;
  /** 1, 2, ... per preview; 0 before the first. */
  previewId: number;
  preview: JobPreview | null;
  interrupted: boolean;
  skipped: boolean;
}

/** The live record behind the snapshots of one job. */
export interface ProgressRecord extends Omit<ProgressSnapshot, 'elapsedSeconds'> {
  startedMs: number;
}

/** Begins the record of a job. */
export function startProgress(taskId: string): ProgressRecord {
  return {
    taskId,
    jobTimestamp: formatTimestamp(new Date()),
    startedMs: performance.now(),
    progress: null,
    previewId: 0,
    preview: null,
    interrupted: false,
    skipped: false,
  };
}

/** Copies a record for a reader. */
export function snapshot(record: ProgressRecord): ProgressSnapshot {
  const { startedMs, ...rest } = record;
  return { ...rest, elapsedSeconds: (performance.now() - startedMs) / 1000 };
}

/**
 * Writes a moment as A1111's `job_timestamp`.
 *
 * @param date  read in the server's time zone
 * @returns `YYYYMMDDHHMMSS`
 */
export function formatTimestamp(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return (
    `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}` +
    `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`
  );
}
