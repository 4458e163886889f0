/** The job API: submit, watch, fetch the answer, cancel. */
import { type Request, type Response, Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { JobQuery, JobsQuery, STATUSES, SubmitJobRequest } from '../openapi/schemas/jobs.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { hasEnded, type JobRecord } from '../server/jobs/record.ts';
import { describeJob } from './describe-job.ts';
import { streamJob } from './job-stream.ts';
import { createPreviewEncoder } from './preview-encoder.ts';
import { findKind, submitJob } from './submit-job.ts';

/** Streams at once; each is a connection and four looks a second. */
const MAX_STREAMS = 256;

/** Makes the router of the job API. */
export function jobRoutes(context: Context): Router {
  const { jobs, queue, engine, options } = context;
  const router = Router();
  const encode = createPreviewEncoder();
  let streams = 0;

  const preview = async (job: JobRecord): Promise<string | null> => {
    const snapshot = engine.progress();
    if (snapshot?.taskId !== job.id) return null;
    const format = options.all().live_previews_image_format;
    const image = await encode(snapshot, format);
    return image && `data:image/${format};base64,${image.toString('base64')}`;
  };

  router.post('/sdserve/v1/jobs', async (req, res) => {
    const { kind, request, callback_url, name } = parseRequest(SubmitJobRequest, req.body, 'body');
    const job = await submitJob(context, findKind(kind), request, {
      callback: callback_url ? { url: callback_url, form: 'json' } : null,
      name,
      location: ['body', 'request'],
    });
    res.status(202).location(`/sdserve/v1/jobs/${encodeURIComponent(job.id)}`);
    res.json(describeJob(context, job));
  });

  router.get('/sdserve/v1/jobs', (req, res) => {
    const { status, limit, offset } = parseRequest(JobsQuery, { ...req.query }, 'query');
    const wanted = new Set<string>(
      status ? status.split(',').map((word) => word.trim()) : STATUSES,
    );
    const found = jobs.list().filter((job) => wanted.has(job.status));
    const page = found.reverse().slice(offset, offset + limit);
    res.json({
      jobs: page.map((job) => describeJob(context, job)),
      total: found.length,
      paused: queue.isPaused,
    });
  });

  router.get('/sdserve/v1/jobs/:id', async (req, res) => {
    const query = parseRequest(JobQuery, { ...req.query }, 'query');
    const job = findJob(context, req);
    res.json(describeJob(context, job, query.preview ? await preview(job) : null));
  });

  router.get('/sdserve/v1/jobs/:id/result', (req, res) => {
    sendAnswer(res, findJob(context, req));
  });

  router.get('/sdserve/v1/jobs/:id/events', (req, res) => {
    const query = parseRequest(JobQuery, { ...req.query }, 'query');
    const job = findJob(context, req);
    if (streams >= MAX_STREAMS) {
      throw new HttpError('TOO_MANY_STREAMS', `Expected at most ${MAX_STREAMS} streams at once.`);
    }
    streams += 1;
    res.once('close', () => {
      streams -= 1;
    });
    streamJob(context, job, res, query.preview ? preview : async () => null);
  });

  router.delete('/sdserve/v1/jobs/:id', async (req, res) => {
    const job = findJob(context, req);
    if (hasEnded(job)) jobs.forget(job);
    else jobs.cancel(job);
    // One that waited has left the queue by then.
    await new Promise(setImmediate);
    res.json(describeJob(context, job));
  });
  return router;
}

/**
 * Finds the job that a path names.
 *
 * @throws HttpError JOB_NOT_FOUND
 */
export function findJob({ jobs }: Pick<Context, 'jobs'>, req: Request): JobRecord {
  const { id } = req.params;
  const job = typeof id === 'string' ? jobs.get(id) : undefined;
  if (job === undefined) {
    throw new HttpError('JOB_NOT_FOUND', 'Job not found: it never was, or was forgotten.');
  }
  return job;
}

/** Answers as the kind's own endpoint would have. */
function sendAnswer(res: Response, job: JobRecord): void {
  if (job.error !== null) {
    res.set(job.error.headers).status(job.error.status).json(job.error.body);
  } else if (job.answer !== null) {
    res.type('application/json').send(job.answer);
  } else {
    throw new HttpError('JOB_HAS_NO_ANSWER', `The job is ${job.status}: it has no answer.`);
  }
}
