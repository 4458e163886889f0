/** The job API. */
import { z } from 'zod';
import { MAX_NAME_CHARS } from './bounds.ts';
import { bool, dict, int, text } from './coercion.ts';

/** UTF-16 units of an address; browsers end near 2,000. */
const MAX_URL_CHARS = 2_048;
/** Jobs of one page. */
const MAX_PAGE = 1_000;
/** Where a page may begin; more jobs are never kept. */
const MAX_OFFSET = 1_000_000;

export const STATUSES = [
  'pending',
  'running',
  'done',
  'failed',
  'interrupted',
  'cancelled',
] as const;

export const JobParams = z.object({ id: z.string().describe('Id of the job.') });

export const SubmitJobRequest = z
  .object({
    kind: text(MAX_NAME_CHARS).default('txt2img').describe('Kind of job, e.g. `txt2img`.'),
    request: dict().describe(
      'The body of the kind’s own endpoint; `force_task_id` becomes the id of the job.',
    ),
    callback_url: text(MAX_URL_CHARS)
      .nullable()
      .default(null)
      .describe('Called with POST when the job has ended.'),
    name: text(MAX_NAME_CHARS).nullable().default(null).describe('Name for people.'),
  })
  .describe('A job to be done when its turn comes.');

export const JobQuery = z.object({
  preview: bool().default(false).describe('true adds a preview while the job runs.'),
});

export const JobsQuery = z.object({
  status: text(MAX_NAME_CHARS)
    .nullable()
    .default(null)
    .describe(`Only these, with commas between: ${STATUSES.join(', ')}.`),
  limit: int(0, MAX_PAGE).default(20).describe('Most jobs to list.'),
  offset: int(0, MAX_OFFSET).default(0).describe('Jobs to leave out first.'),
});

export const Job = z
  .object({
    id: z.string().describe('Id of the job; also of its task in `/internal/progress`.'),
    kind: z.string().describe('Kind of job.'),
    name: z.string().nullable().describe('Name for people.'),
    status: z
      .enum(STATUSES)
      .describe('`interrupted` has what it had come to, `cancelled` nothing.'),
    position: z
      .int()
      .nullable()
      .describe('Tasks before it in the queue; null when it does not wait.'),
    progress: z.number().min(0).max(1).describe('Share that is done.'),
    eta_seconds: z
      .number()
      .nullable()
      .describe('Seconds that remain, estimated; null unless it runs.'),
    phase: z.string().nullable().describe('What it does, for people; null unless it runs.'),
    preview: z
      .string()
      .nullable()
      .describe('Data URI; null unless it was asked for and there is one.'),
    created_at: z.string().describe('When it was submitted, ISO 8601.'),
    started_at: z.string().nullable().describe('When its turn came.'),
    ended_at: z.string().nullable().describe('When it ended.'),
    error: z
      .object({
        status: z.int().describe('Status that its own endpoint would have answered.'),
        message: z.string().describe('One sentence.'),
      })
      .nullable()
      .describe('Why it failed.'),
  })
  .describe('A job.');

export const JobList = z
  .object({
    jobs: z.array(Job).describe('The newest first.'),
    total: z.int().describe('Jobs of these statuses, on this page or not.'),
    paused: z.boolean().describe('Whether jobs wait until the queue is resumed.'),
  })
  .describe('Jobs that wait, run, or ended not long ago.');

export const JobAnswer = z
  .record(z.string(), z.unknown())
  .describe('What the kind’s own endpoint answers.');

export const JOB_REQUESTS = { SubmitJobRequest };
export const JOB_ANSWERS = { Job, JobList };
