/** `GET /sdapi/v1/progress`, `POST /internal/progress`, `GET /internal/pending-tasks`. */
import { Router } from 'express';
import { parseRequest } from '../openapi/parse.ts';
import { ProgressQuery, TaskProgressRequest } from '../openapi/schemas/progress.ts';
import type { Context } from '../server/context.ts';
import type { ProgressSnapshot } from '../server/engine/supervisor.ts';
import { createPreviewEncoder, type PreviewFormat } from './preview-encoder.ts';

/** The share that a job shows before its first step, so that it does not look idle. */
const STARTED = 0.01;

/** Makes the router of progress in A1111's two forms. */
export function progressRoutes({ engine, queue, options }: Context): Router {
  const router = Router();
  const encode = createPreviewEncoder();

  router.get('/sdapi/v1/progress', async (req, res) => {
    const query = parseRequest(ProgressQuery, { ...req.query }, 'query');
    const job = engine.progress();
    const share = job === null ? 0 : STARTED + measureShare(job);
    const format = toFormat(options.all().samples_format);
    const image = job === null || query.skip_current_image ? null : await encode(job, format);
    res.json({
      progress: Math.min(share, 1),
      eta_relative: job === null ? 0 : job.elapsedSeconds / share - job.elapsedSeconds,
      state: describeState(job, engine.lastJobTimestamp()),
      current_image: image?.toString('base64') ?? null,
      textinfo: null,
    });
  });

  router.post('/internal/progress', async (req, res) => {
    const request = parseRequest(TaskProgressRequest, req.body ?? {}, 'body');
    const id = request.id_task;
    const job = engine.progress();
    const isActive = id !== null && (queue.running === id || job?.taskId === id);
    const place = id === null ? -1 : queue.waiting.indexOf(id);
    const flags = {
      active: isActive,
      queued: place >= 0,
      completed: id !== null && !isActive && queue.finished.includes(id),
    };
    if (!isActive || job === null) {
      res.json({
        ...flags,
        progress: null,
        eta: null,
        live_preview: null,
        id_live_preview: -1,
        textinfo: place < 0 ? 'Waiting...' : `In queue: ${place + 1}/${queue.waiting.length}`,
      });
      return;
    }
    const share = Math.min(measureShare(job), 1);
    const isNew = request.live_preview !== false && job.previewId !== request.id_live_preview;
    const format = options.all().live_previews_image_format;
    const image = isNew ? await encode(job, format) : null;
    res.json({
      ...flags,
      progress: share,
      eta: share === 0 ? null : job.elapsedSeconds / share - job.elapsedSeconds,
      live_preview: image && `data:image/${format};base64,${image.toString('base64')}`,
      id_live_preview: image === null ? (request.id_live_preview ?? -1) : job.previewId,
      textinfo: job.progress?.job ?? null,
    });
  });

  router.get('/internal/pending-tasks', (_req, res) => {
    const tasks = queue.running === null ? queue.waiting : [queue.running, ...queue.waiting];
    res.json({ size: tasks.length, tasks });
  });
  return router;
}

/**
 * The share of a job that is done.
 *
 * @returns 0 … 1; 0 before the number of iterations is known
 */
export function measureShare({ progress }: ProgressSnapshot): number {
  if (progress === null || progress.jobCount <= 0) return 0;
  const { jobNo, jobCount, samplingStep, samplingSteps } = progress;
  const step = samplingSteps > 0 ? samplingStep / samplingSteps / jobCount : 0;
  return jobNo / jobCount + step;
}

function describeState(job: ProgressSnapshot | null, timestamp: string) {
  const progress = job?.progress ?? null;
  return {
    skipped: job?.skipped ?? false,
    interrupted: job?.interrupted ?? false,
    stopping_generation: false,
    job: progress?.job ?? '',
    job_count: job === null ? 0 : (progress?.jobCount ?? -1),
    job_timestamp: timestamp,
    job_no: progress?.jobNo ?? 0,
    sampling_step: progress?.samplingStep ?? 0,
    sampling_steps: progress?.samplingSteps ?? 0,
  };
}

function toFormat(samplesFormat: string): PreviewFormat {
  if (samplesFormat === 'webp') return 'webp';
  return samplesFormat === 'png' ? 'png' : 'jpeg';
}
