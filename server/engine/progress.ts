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

/** Where a job is in the series that a script runs. */
export interface SeriesPlace {
  /** 0-based. */
  index: number;
  /** Jobs of the series; 1 or more. */
  count: number;
}

/** What runs: `id` is that of the engine's call, null between two jobs of a series. */
export interface RunningTask {
  id: number | null;
  place: SeriesPlace;
  record: ProgressRecord;
}

/** Tells the progress of one job of a series as that of the whole, each job an equal share. */
export function placeProgress(progress: JobProgress, { index, count }: SeriesPlace): JobProgress {
  if (count === 1) return progress;
  return {
    ...progress,
    job: `Batch ${index + 1} out of ${count}`,
    jobNo: index * progress.jobCount + progress.jobNo,
    jobCount: count * progress.jobCount,
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
