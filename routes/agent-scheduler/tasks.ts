/** Jobs as the extension agent-scheduler shows them, and requests as it takes them. */
import { randomUUID } from 'node:crypto';
import { parseRequest } from '../../openapi/parse.ts';
import { QueueTaskFields } from '../../openapi/schemas/agent-scheduler.ts';
import { dict, isDict } from '../../openapi/schemas/coercion.ts';
import type { Context } from '../../server/context.ts';
import type { JobRecord } from '../../server/jobs/record.ts';
import type { JobKind } from '../job-kind.ts';
import { submitJob } from '../submit-job.ts';

type Body = Record<string, unknown>;

/** Fields that the extension leaves out of lists: pictures, and arguments that hold pictures. */
const HIDDEN = new Set([
  ...['init_images', 'mask', 'latent_mask', 'firstpass_image', 'alwayson_scripts', 'script_args'],
  ...['image', 'imageList'],
]);

const RequestBody = dict();

/**
 * Submits a request of the extension: that of the kind's own endpoint with `checkpoint`, `vae` and
 * `callback_url`. Its answer always has the pictures, because the results are asked for later.
 *
 * @throws as `submitJob`
 */
export async function queueTask(
  context: Context,
  kind: JobKind,
  sent: unknown,
): Promise<JobRecord> {
  const fields = parseRequest(QueueTaskFields, sent, 'body');
  const {
    checkpoint: _,
    vae: __,
    callback_url: ___,
    ...rest
  } = parseRequest(RequestBody, sent, 'body');
  const body = overrideModels(rest, fields);
  return submitJob(
    context,
    kind,
    { ...body, send_images: true, force_task_id: body.force_task_id || randomUUID() },
    {
      callback: fields.callback_url ? { url: fields.callback_url, form: 'multipart' } : null,
      name: null,
      location: ['body'],
    },
  );
}

/** A request with a checkpoint and a VAE of its own; `System` is the extension's word for none. */
export function overrideModels(
  body: Body,
  { checkpoint, vae }: { checkpoint?: string | null; vae?: string | null },
): Body {
  const settings: Body = isDict(body.override_settings) ? { ...body.override_settings } : {};
  if (checkpoint && checkpoint !== 'System') settings.sd_model_checkpoint = checkpoint;
  if (vae) settings.sd_vae = vae;
  return Object.keys(settings).length === 0 ? body : { ...body, override_settings: settings };
}

/** Unfinished jobs: the running one, then the others in the order in which they will run. */
export function listQueue({ jobs, queue }: Context): JobRecord[] {
  const places = new Map(queue.waiting.map((id, place) => [id, place]));
  const place = (job: JobRecord) => places.get(job.id) ?? -1;
  return jobs.unfinished().sort((a, b) => place(a) - place(b));
}

/** The extension's word for a status; it knows no task that was taken out of the queue. */
export function toTaskStatus({ status }: JobRecord): string {
  return status === 'cancelled' ? 'interrupted' : status;
}

/**
 * Describes a job as the extension's `TaskModel`.
 *
 * @param position  place among the unfinished ones; null for others
 * @param writeDate  the extension writes dates as numbers in lists and as text elsewhere
 */
export function toTask(
  job: JobRecord,
  position: number | null,
  writeDate: (ms: number) => string | number,
) {
  const { override_settings: settings } = job.body;
  const params = Object.entries(job.body).filter(([key]) => !HIDDEN.has(key));
  const checkpoint = isDict(settings) ? (settings.sd_model_checkpoint ?? null) : null;
  const changedMs = job.endedMs ?? job.startedMs ?? job.createdMs;
  return {
    id: job.id,
    api_task_id: null,
    api_task_callback: job.callback?.url ?? null,
    name: job.name,
    type: job.kind,
    status: toTaskStatus(job),
    params: { ...Object.fromEntries(params), checkpoint },
    priority: job.createdMs,
    position,
    result: describeResult(job),
    bookmarked: job.isBookmarked,
    created_at: writeDate(job.createdMs),
    updated_at: writeDate(changedMs),
  };
}

/** Pictures of an answer with their infotexts. */
export function readResults(job: JobRecord): { image: string; infotext: string }[] {
  const { images, infotexts } = readAnswer(job);
  return images.map((image, i) => ({ image, infotext: infotexts[i] ?? '' }));
}

function describeResult(job: JobRecord): string | null {
  if (job.error !== null) return String(job.error.body.message);
  if (job.answer === null) return null;
  const { infotexts, geninfo } = readAnswer(job);
  // The extension names files on the server here; ours come with `results`.
  return JSON.stringify({ images: [], infotexts, geninfo });
}

function readAnswer({ answer }: JobRecord) {
  const body: unknown = answer === null ? {} : JSON.parse(answer.toString('utf8'));
  if (!isDict(body)) return { images: [], infotexts: [], geninfo: {} };
  const images = Array.isArray(body.images) ? body.images : [body.image];
  const geninfo: unknown = typeof body.info === 'string' ? JSON.parse(body.info) : {};
  const infotexts = isDict(geninfo) && Array.isArray(geninfo.infotexts) ? geninfo.infotexts : [];
  const isText = (value: unknown): value is string => typeof value === 'string';
  return { images: images.filter(isText), infotexts: infotexts.filter(isText), geninfo };
}
