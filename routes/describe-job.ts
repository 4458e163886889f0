/** A job as clients see it. */
import type { Context } from '../server/context.ts';
import { hasEnded, type JobRecord } from '../server/jobs/record.ts';
import { measureShare } from './progress.ts';

/**
 * Describes where a job is.
 *
 * @param preview  a data URI to hand out with it
 */
export function describeJob(
  { queue, engine }: Pick<Context, 'queue' | 'engine'>,
  job: JobRecord,
  preview: string | null = null,
) {
  const snapshot = engine.progress();
  const running = job.status === 'running' && snapshot?.taskId === job.id ? snapshot : null;
  const share = running === null ? 0 : Math.min(measureShare(running), 1);
  const place = queue.waiting.indexOf(job.id);
  const elapsed = running?.elapsedSeconds ?? 0;
  return {
    id: job.id,
    kind: job.kind,
    name: job.name,
    status: job.status,
    position: place < 0 ? null : place,
    progress: hasEnded(job) && job.answer !== null ? 1 : share,
    eta_seconds: share === 0 ? null : elapsed / share - elapsed,
    phase: running?.progress?.job ?? null,
    preview,
    created_at: new Date(job.createdMs).toISOString(),
    started_at: job.startedMs === null ? null : new Date(job.startedMs).toISOString(),
    ended_at: job.endedMs === null ? null : new Date(job.endedMs).toISOString(),
    error:
      job.error === null
        ? null
        : { status: job.error.status, message: String(job.error.body.message) },
  };
}
