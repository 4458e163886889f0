/** `POST /sdapi/v1/txt2img`: reads a request, hands over a job, shapes the answer. */
import { randomBytes } from 'node:crypto';
import { type Response, Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { Txt2ImgRequest } from '../openapi/schemas/txt2img.ts';
import type { JobResult } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import { saveResult } from './save-images.ts';
import { createTxt2ImgJob, type PreparedJob } from './txt2img-job.ts';

/** Task ids that may be sent back in a header. */
const HEADER_TEXT = /^[\x20-\x7e]{1,200}$/;
const TASK_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const TASK_ID_LETTERS = 7;

/** Makes the router of txt2img. */
export function txt2imgRoutes(context: Context): Router {
  const { queue, engine, log } = context;
  const router = Router();
  router.post('/sdapi/v1/txt2img', async (req, res) => {
    const request = parseRequest(Txt2ImgRequest, req.body, 'body');
    const prepared = await createTxt2ImgJob(context, request);
    const taskId = request.force_task_id || createTaskId('txt2img');
    if (HEADER_TEXT.test(taskId)) res.setHeader('X-Task-Id', taskId);
    // Who asked for saved pictures gets them saved; other work ends when nobody waits for it.
    const signal = request.save_images ? undefined : whenClientLeaves(res);
    const result = await queue.add(
      taskId,
      () => measure(context, () => engine.run(prepared.job, taskId, signal)),
      signal,
    );
    const comments = request.save_images ? await saveResult(context, prepared, result) : [];
    await keepOverrides(context, request, prepared);
    if (res.destroyed) {
      log.info({ taskId }, 'the client left before its answer');
      return;
    }
    res.json({
      images: request.send_images ? result.images.map(toBase64) : [],
      parameters: echoParameters(request),
      info: JSON.stringify(addComments(result.info, comments)),
    });
  });
  return router;
}

/** Every field of the request as it was read; those that A1111 does not have are left out. */
function echoParameters(request: Txt2ImgRequest): Record<string, unknown> {
  const { lora: _, ...parameters } = request;
  return parameters;
}

function addComments(info: Record<string, unknown>, comments: readonly string[]) {
  if (comments.length === 0) return info;
  const known = Array.isArray(info.comments) ? info.comments : [];
  return { ...info, comments: [...known, ...comments] };
}

async function keepOverrides(
  { options, log }: Context,
  request: Txt2ImgRequest,
  { overrides }: PreparedJob,
): Promise<void> {
  if (request.override_settings_restore_afterwards !== false) return;
  // The pictures are finished: a full disk is no reason to withhold them.
  await options.set(overrides).catch((error: unknown) => log.warn({ error }, 'options not saved'));
}

async function measure({ metrics }: Context, run: () => Promise<JobResult>): Promise<JobResult> {
  const startedMs = performance.now();
  const seconds = () => (performance.now() - startedMs) / 1000;
  try {
    const result = await run();
    metrics.jobSeconds.observe({ outcome: 'done' }, seconds());
    metrics.images.inc(result.images.length);
    metrics.steps.inc(result.stepsExecuted);
    return result;
  } catch (error) {
    metrics.jobSeconds.observe({ outcome: 'failed' }, seconds());
    throw error;
  }
}

/** A signal that is aborted when the connection closes before the answer is sent. */
function whenClientLeaves(res: Response): AbortSignal {
  const controller = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) controller.abort(new Error('The client left.'));
  });
  return controller.signal;
}

/** An id as A1111 makes them: `task(txt2img-A1B2C3D)`. */
function createTaskId(kind: string): string {
  const letters = [...randomBytes(TASK_ID_LETTERS)].map(
    (byte) => TASK_LETTERS[byte % TASK_LETTERS.length],
  );
  return `task(${kind}-${letters.join('')})`;
}

function toBase64(image: Uint8Array): string {
  return Buffer.from(image.buffer, image.byteOffset, image.byteLength).toString('base64');
}
