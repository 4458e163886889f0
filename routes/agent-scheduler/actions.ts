/** What clients of agent-scheduler do with one task or with all of them. */
import { randomUUID } from 'node:crypto';
import { type Request, type Response, Router } from 'express';
import { parseRequest } from '../../openapi/parse.ts';
import { RenameQuery, UpdateTaskArgs } from '../../openapi/schemas/agent-scheduler.ts';
import type { Context } from '../../server/context.ts';
import { hasEnded, type JobRecord } from '../../server/jobs/record.ts';
import { findKind, submitJob } from '../submit-job.ts';
import { overrideModels } from './tasks.ts';

const ROOT = '/agent-scheduler/v1';

type Action = (job: JobRecord, req: Request) => string | null | Promise<string | null>;

/** Makes the router of the actions; each answers 200 with `success`, as the extension does. */
export function taskActionRoutes(context: Context): Router {
  const { jobs, queue } = context;
  const router = Router();
  /** Adds an action under its name now and its name in the extension's first versions. */
  const act = (name: string, rest: string, done: string, action: Action) => {
    router.post(
      [`${ROOT}/task/:id/${name}${rest}`, `${ROOT}/${name}/:id${rest}`],
      async (req, res) => {
        const { id } = req.params;
        const job = typeof id === 'string' ? jobs.get(id) : undefined;
        const message = job === undefined ? 'Task not found' : await action(job, req);
        tell(res, message === null, message ?? done);
      },
    );
  };

  act('bookmark', '', 'Task bookmarked', (job) => {
    job.isBookmarked = true;
    return null;
  });
  act('unbookmark', '', 'Task unbookmarked', (job) => {
    job.isBookmarked = false;
    return null;
  });
  act('rename', '', 'Task renamed.', (job, req) => {
    job.name = parseRequest(RenameQuery, { ...req.query }, 'query').name;
    return null;
  });
  act('move', '/:over_id', 'Task moved', (job, req) => {
    const { over_id: over } = req.params;
    const to = over === 'top' ? 'front' : over === 'bottom' ? 'back' : { before: String(over) };
    return queue.move(job.id, to) ? null : 'Task not found';
  });
  act('requeue', '', 'Task requeued', async (job) => {
    const name = job.name === null ? null : `Copy of ${job.name}`;
    await submitAgain(context, job, randomUUID(), name);
    return null;
  });
  router.post([`${ROOT}/task/:id/run`, `${ROOT}/run/:id`], (req, res) => {
    const id = String(req.params.id);
    if (queue.running === id) return tell(res, false, 'Task is running');
    const isFree = queue.running === null;
    if (!queue.runNext(id)) return tell(res, false, 'Task not found');
    tell(res, true, isFree ? 'Task is executing' : 'Task is scheduled to run next');
  });

  const remove = async (req: Request, res: Response) => {
    const job = jobs.get(String(req.params.id));
    if (job === undefined) return tell(res, false, 'Task not found');
    const isRunning = job.status === 'running';
    await removeJob(context, job);
    tell(res, true, isRunning ? 'Task interrupted' : 'Task deleted');
  };
  router.delete(`${ROOT}/task/:id`, remove);
  router.post(`${ROOT}/delete/:id`, remove);

  router.put(`${ROOT}/task/:id`, async (req, res) => {
    const { name, checkpoint, params } = parseRequest(UpdateTaskArgs, req.body, 'body');
    const job = jobs.get(String(req.params.id));
    if (job === undefined) return tell(res, false, 'Task not found');
    if (checkpoint !== null || params !== null) {
      const body = overrideModels({ ...job.body, ...params }, { checkpoint });
      if (!(await replace(context, job, body))) return tell(res, false, `Task is ${job.status}`);
    }
    const changed = jobs.get(job.id);
    if (name !== null && changed !== undefined) changed.name = name;
    tell(res, true, 'Task updated.');
  });

  router.post(`${ROOT}/task/requeue-failed`, async (_req, res) => {
    const failed = jobs.list().filter(({ status }) => status === 'failed');
    if (failed.length === 0) return tell(res, false, 'No failed tasks');
    for (const job of failed) {
      jobs.forget(job);
      await submitAgain(context, job, job.id, job.name);
    }
    tell(res, true, `Requeued ${failed.length} failed tasks`);
  });
  router.post([`${ROOT}/queue/pause`, `${ROOT}/pause`], (_req, res) => {
    queue.pause();
    tell(res, true, 'Queue paused.');
  });
  router.post([`${ROOT}/queue/resume`, `${ROOT}/resume`], (_req, res) => {
    queue.resume();
    tell(res, true, 'Queue resumed.');
  });
  router.post(`${ROOT}/queue/clear`, async (_req, res) => {
    const waiting = jobs.unfinished().filter(({ status }) => status === 'pending');
    for (const job of waiting) await removeJob(context, job);
    tell(res, true, 'Queue cleared.');
  });
  router.post(`${ROOT}/history/clear`, (_req, res) => {
    for (const job of jobs.list()) jobs.forget(job);
    tell(res, true, 'History cleared.');
  });
  return router;
}

function tell(res: Response, success: boolean, message: string): void {
  res.json({ success, message });
}

/** Interrupts a running job; takes a waiting one out of the queue; forgets any but the running one. */
async function removeJob({ jobs }: Context, job: JobRecord): Promise<void> {
  const isRunning = job.status === 'running';
  jobs.cancel(job);
  if (isRunning) return;
  // One that waits has left the queue by then.
  await new Promise(setImmediate);
  jobs.forget(job);
}

function submitAgain(context: Context, job: JobRecord, id: string, name: string | null) {
  const { callback, kind, body } = job;
  const again = { ...body, force_task_id: id };
  return submitJob(context, findKind(kind), again, { callback, name, location: ['body'] });
}

/**
 * Puts another request in the place of one that waits.
 *
 * @returns false when the job does not wait any more
 * @throws InvalidRequest, HttpError for a request that cannot be prepared; the old one then stays
 */
async function replace(
  context: Context,
  job: JobRecord,
  body: Record<string, unknown>,
): Promise<boolean> {
  const { queue } = context;
  await findKind(job.kind).prepare(context, body);
  const place = queue.waiting.indexOf(job.id);
  if (hasEnded(job) || place < 0) return false;
  const after = queue.waiting[place + 1];
  await removeJob(context, job);
  await submitAgain(context, { ...job, body }, job.id, job.name);
  if (after !== undefined) queue.move(job.id, { before: after });
  return true;
}
