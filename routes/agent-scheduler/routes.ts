/** `/agent-scheduler/v1`: the routes of the extension that bots use for tasks nobody waits for. */
import { Router } from 'express';
import { parseRequest } from '../../openapi/parse.ts';
import {
  HistoryQuery,
  ImportRequest,
  PageQuery,
  ResultsQuery,
} from '../../openapi/schemas/agent-scheduler.ts';
import { isDict } from '../../openapi/schemas/coercion.ts';
import { SAMPLERS } from '../../pipelines/samplers/catalogue.ts';
import type { Context } from '../../server/context.ts';
import { hasEnded, type JobRecord } from '../../server/jobs/record.ts';
import { findKind, submitJob } from '../submit-job.ts';
import { taskActionRoutes } from './actions.ts';
import { listQueue, queueTask, readResults, toTask, toTaskStatus } from './tasks.ts';
import { writeZip } from './zip.ts';

const ROOT = '/agent-scheduler/v1';
const NOT_FOUND = { success: false, message: 'Task not found' };

/** Makes the router of the extension's routes. */
export function agentSchedulerRoutes(context: Context): Router {
  const { jobs, queue, models } = context;
  const router = Router();
  router.get(`${ROOT}/samplers`, (_req, res) => {
    res.json(SAMPLERS.map(({ name }) => name));
  });
  router.get(`${ROOT}/sd-models`, (_req, res) => {
    res.json(models.checkpoints.map(({ title }) => title));
  });
  for (const kind of ['txt2img', 'img2img']) {
    router.post(`${ROOT}/queue/${kind}`, async (req, res) => {
      const job = await queueTask(context, findKind(kind), req.body);
      res.json({ task_id: job.id });
    });
  }

  router.get(`${ROOT}/queue`, (req, res) => {
    const { limit, offset } = parseRequest(PageQuery, { ...req.query }, 'query');
    const all = listQueue(context);
    const page = all.slice(offset, offset + limit);
    res.json({
      current_task_id: queue.running,
      pending_tasks: page.map((job, i) => toTask(job, offset + i, Number)),
      total_pending_tasks: all.length,
      paused: queue.isPaused,
    });
  });

  router.get(`${ROOT}/history`, (req, res) => {
    const { status, limit, offset } = parseRequest(HistoryQuery, { ...req.query }, 'query');
    const isWanted = (job: JobRecord) =>
      status === 'bookmarked'
        ? job.isBookmarked
        : !status || status === 'all' || status === toTaskStatus(job);
    const found = jobs.list().filter((job) => hasEnded(job) && isWanted(job));
    const page = found.reverse().slice(offset, offset + limit);
    res.json({ tasks: page.map((job) => toTask(job, null, Number)), total: found.length });
  });

  router.get(`${ROOT}/task/:id`, (req, res) => {
    const job = jobs.get(req.params.id);
    if (job === undefined) return void res.json(NOT_FOUND);
    const data = toTask(job, placeOf(context, job), (ms) => new Date(ms).toISOString());
    res.json({ success: true, data });
  });

  router.get(`${ROOT}/task/:id/position`, (req, res) => {
    const job = jobs.get(req.params.id);
    if (job === undefined) return void res.json(NOT_FOUND);
    const data = { status: toTaskStatus(job), position: placeOf(context, job) };
    res.json({ success: true, data });
  });

  router.get([`${ROOT}/task/:id/results`, `${ROOT}/results/:id`], (req, res) => {
    const { zip } = parseRequest(ResultsQuery, { ...req.query }, 'query');
    const job = jobs.get(String(req.params.id));
    if (job === undefined) return void res.json(NOT_FOUND);
    if (job.status !== 'done') {
      return void res.json({ success: false, message: `Task is ${toTaskStatus(job)}` });
    }
    const data = readResults(job);
    if (!zip) return void res.json({ success: true, data });
    const files = data.map(({ image }, i) => {
      const bytes = Buffer.from(image, 'base64');
      return { name: `${String(i).padStart(5, '0')}.${findExtension(bytes)}`, bytes };
    });
    res.attachment('results.zip').type('application/zip').send(writeZip(files));
  });

  router.get(`${ROOT}/export`, (req, res) => {
    const { limit, offset } = parseRequest(PageQuery, { limit: 1_000, ...req.query }, 'query');
    const page = listQueue(context).slice(offset, offset + limit);
    res.json(
      page.map(({ kind, name, body, callback }) => ({
        ...{ type: kind, name, params: body, callback_url: callback?.url ?? null },
      })),
    );
  });

  router.post(`${ROOT}/import`, async (req, res) => {
    const { content } = parseRequest(ImportRequest, req.body, 'body');
    const tasks = readList(content);
    if (tasks === null) return void res.json({ success: false, message: 'Import Failed' });
    for (const task of tasks) await importTask(context, task);
    res.json({ success: true, message: 'Queue imported' });
  });
  router.use(taskActionRoutes(context));
  return router;
}

/** The items of a JSON list; null when the text is none. */
function readList(content: string): unknown[] | null {
  try {
    const value: unknown = JSON.parse(content);
    return Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

async function importTask(context: Context, task: unknown): Promise<void> {
  const { type, params, callback_url: url, name } = isDict(task) ? task : {};
  const { force_task_id: _, ...body } = isDict(params) ? params : {};
  await submitJob(context, findKind(String(type)), body, {
    callback: typeof url === 'string' ? { url, form: 'multipart' } : null,
    name: typeof name === 'string' ? name : null,
    location: ['body', 'content'],
  });
}

/** Place of a job that waits, from 0; null for others. */
function placeOf({ queue }: Context, job: JobRecord): number | null {
  const place = queue.waiting.indexOf(job.id);
  return place < 0 ? null : place;
}

function findExtension(bytes: Buffer): string {
  if (bytes[0] === 0xff) return 'jpg';
  return bytes.subarray(0, 4).toString('latin1') === 'RIFF' ? 'webp' : 'png';
}
