/** What every kind of job has in common: a request is prepared, runs in its turn, and is answered. */
import { randomBytes } from 'node:crypto';
import type { RequestHandler, Response } from 'express';
import type { JobResult } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import type { WaitOptions } from '../server/queue.ts';
import { acceptedPicture, askForPicture, sendPicture } from './raw-picture.ts';

/** Task ids that may be sent back in a header. */
const HEADER_TEXT = /^[\x20-\x7e]{1,200}$/;
const TASK_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const TASK_ID_LETTERS = 7;

/** The body of a 200 answer. */
export type Answer = Record<string, unknown>;

/** A request that was read, checked and resolved. */
export interface PreparedRequest {
  /** `force_task_id`; empty or null draws one. */
  forcedId: string | null;
  /** Whether it is finished when nobody waits for the answer: who asked for saved pictures gets them. */
  outlivesClient: boolean;
  /**
   * Does the engine's work; called once, in its turn.
   *
   * @param taskId  id for `/internal/progress`
   * @param signal  aborting it interrupts the work, which then still returns what it has
   */
  run(taskId: string, signal?: AbortSignal): Promise<JobResult>;
  /** Shapes the answer when the next job may already run: saves, encodes, echoes. */
  answer(result: JobResult): Promise<Answer>;
}

/** One kind of job: what the job API can be given, and what its own endpoint runs. */
export interface JobKind {
  /** Name in task ids and in paths of the job API. */
  readonly name: string;
  /**
   * Reads a body and resolves every name in it.
   *
   * @throws InvalidRequest, HttpError
   */
  prepare(context: Context, body: unknown): Promise<PreparedRequest>;
}

/**
 * Makes the handler of a kind's own endpoint, which answers when the job is done: with JSON, or with
 * the first picture where `Accept` asks for one.
 */
export function answerJobs(context: Context, kind: JobKind): RequestHandler {
  return async (req, res) => {
    const picture = acceptedPicture(req);
    const body: unknown = picture === null ? req.body : askForPicture(req.body, picture);
    // A full queue is told before pictures are decoded for nothing.
    const refusal = context.queue.refusal(false);
    if (refusal !== null) throw refusal;
    const prepared = await kind.prepare(context, body);
    const taskId = prepared.forcedId || createTaskId(kind.name);
    if (HEADER_TEXT.test(taskId)) res.setHeader('X-Task-Id', taskId);
    const isFinished = prepared.outlivesClient || context.settings.finishAbandonedJobs;
    const signal = isFinished ? undefined : whenClientLeaves(res);
    const answer = await runPrepared(context, prepared, taskId, { signal });
    if (res.destroyed) context.log.info({ taskId }, 'the client left before its answer');
    else if (picture === null) res.json(answer);
    else sendPicture(res, picture, answer);
  };
}

/**
 * Waits for a job's turn, runs it and shapes its answer.
 *
 * @param wait  aborting its signal takes the job out of the queue or interrupts it
 * @throws HttpError QUEUE_FULL or SHUTTING_DOWN, the signal's reason, EngineError
 */
export async function runPrepared(
  context: Context,
  prepared: PreparedRequest,
  taskId: string,
  wait: WaitOptions,
): Promise<Answer> {
  const { queue, metrics } = context;
  const work = async () => {
    const startedMs = performance.now();
    const seconds = () => (performance.now() - startedMs) / 1000;
    try {
      const result = await prepared.run(taskId, wait.signal);
      metrics.jobSeconds.observe({ outcome: 'done' }, seconds());
      metrics.images.inc(result.images.length);
      metrics.steps.inc(result.stepsExecuted);
      return result;
    } catch (error) {
      metrics.jobSeconds.observe({ outcome: 'failed' }, seconds());
      throw error;
    }
  };
  return prepared.answer(await queue.add(taskId, work, wait));
}

/** An id as A1111 makes them: `task(txt2img-A1B2C3D)`. */
export function createTaskId(kind: string): string {
  const letters = [...randomBytes(TASK_ID_LETTERS)].map(
    (byte) => TASK_LETTERS[byte % TASK_LETTERS.length],
  );
  return `task(${kind}-${letters.join('')})`;
}

/** A signal that is aborted when the connection closes before the answer is sent. */
function whenClientLeaves(res: Response): AbortSignal {
  const controller = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) controller.abort(new Error('The client left.'));
  });
  return controller.signal;
}
