/** Hands requests to the job API, and takes up again what waited when the server ended. */
import { InvalidRequest } from '../openapi/parse.ts';
import { describeBadValue } from '../openapi/schemas/coercion.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { readUrl } from '../server/jobs/outgoing.ts';
import type { Callback, JobRecord, JobSpec } from '../server/jobs/record.ts';
import { createTaskId, type JobKind, type PreparedRequest, runPrepared } from './job-kind.ts';
import { JOB_KINDS } from './job-kinds.ts';

/** How often a job may begin: one that was cut off twice may be what ends the server. */
const MAX_STARTS = 2;

/** What a client wants besides the request itself. */
export interface Submission {
  callback: Callback | null;
  name: string | null;
  /** Where the request stands in the body: first parts of the places that faults name. */
  location: readonly string[];
}

/**
 * Finds a kind of job.
 *
 * @throws HttpError BAD_REQUEST that names the kinds
 */
export function findKind(name: string): JobKind {
  const kind = JOB_KINDS.find((known) => known.name === name);
  if (kind !== undefined) return kind;
  const names = JOB_KINDS.map((known) => known.name).join(', ');
  throw new HttpError('BAD_REQUEST', describeBadValue(`one of ${names}`, 'kind', name));
}

/**
 * Reads, checks and queues a request; resolves at once, and when it is on disk where it survives.
 *
 * @param body  the request of the kind's own endpoint; `force_task_id` becomes the job's id
 * @throws InvalidRequest, HttpError (DUPLICATE_JOB, QUEUE_FULL and what the kind throws),
 *   OutgoingError for a callback that cannot be called
 */
export async function submitJob(
  context: Context,
  kind: JobKind,
  body: Readonly<Record<string, unknown>>,
  { callback, name, location }: Submission,
): Promise<JobRecord> {
  if (callback !== null) readUrl(callback.url, context.settings.allowLocalCallbacks);
  const prepared = await kind.prepare(context, body).catch((error: unknown) => {
    throw error instanceof InvalidRequest ? moveFaults(error, location) : error;
  });
  const id = prepared.forcedId || createTaskId(kind.name);
  const { queue, jobs } = context;
  if (queue.running === id || queue.waiting.includes(id)) {
    throw new HttpError('DUPLICATE_JOB', `There is already a task ${id}.`);
  }
  const spec = { id, kind: kind.name, body, callback, name, createdMs: Date.now(), starts: 0 };
  const job = start(context, spec, prepared);
  await jobs.flush();
  return job;
}

/** Takes up the jobs of an earlier run in their order; those that cannot be prepared have failed. */
export async function restoreJobs(context: Context): Promise<void> {
  const { jobs, log } = context;
  for (const spec of jobs.expected) {
    try {
      if (spec.starts >= MAX_STARTS) {
        throw new HttpError('ENGINE_ERROR', 'The job was cut off each time it ran.');
      }
      start(context, spec, await findKind(spec.kind).prepare(context, spec.body));
    } catch (error) {
      log.warn({ job: spec.id, error }, 'job not taken up again');
      jobs.addFailed(spec, error);
    }
  }
}

function start(context: Context, spec: JobSpec, prepared: PreparedRequest): JobRecord {
  const { queue, jobs } = context;
  const refusal = queue.refusal(true);
  if (refusal !== null) throw refusal;
  return jobs.add(spec, (job) => {
    const run: PreparedRequest['run'] = (taskId, signal) => {
      jobs.started(job);
      return prepared.run(taskId, signal);
    };
    const { signal } = job.controller;
    return runPrepared(context, { ...prepared, run }, job.id, { signal, isDetached: true });
  });
}

/** Faults of a request that stands inside a larger body. */
function moveFaults(error: InvalidRequest, location: readonly string[]): InvalidRequest {
  return new InvalidRequest(
    error.faults.map((fault) => ({ ...fault, loc: [...location, ...fault.loc.slice(1)] })),
  );
}
