/** Progress, in A1111's two forms, and what waits. */
import { z } from 'zod';
import { MAX_NAME_CHARS } from './bounds.ts';
import { bool, int, text } from './coercion.ts';

const MAX_PREVIEW_ID = 2 ** 31;

export const ProgressQuery = z.object({
  skip_current_image: bool().default(false).describe('true leaves `current_image` null.'),
});

export const ProgressResponse = z
  .object({
    progress: z.number().min(0).max(1).describe('Share of the job that is done; 0 when idle.'),
    eta_relative: z.number().describe('Seconds that remain, estimated; 0 when idle.'),
    state: z
      .object({
        skipped: z.boolean().describe('Whether `skip` was asked for.'),
        interrupted: z.boolean().describe('Whether `interrupt` was asked for.'),
        stopping_generation: z.boolean().describe('Always false.'),
        job: z.string().describe('Phase of the job; empty when idle.'),
        job_count: z.int().describe('Iterations; -1 before they are known, 0 when idle.'),
        job_timestamp: z.string().describe('When the job began; "0" before the first.'),
        job_no: z.int().describe('Iterations that are done.'),
        sampling_step: z.int().describe('Step within the iteration, from 0.'),
        sampling_steps: z.int().describe('Steps of the iteration.'),
      })
      .describe('State of the server.'),
    current_image: z.string().nullable().describe('Preview in base64; null when there is none.'),
    textinfo: z.string().nullable().describe('Text for people.'),
  })
  .describe('Where the running job is.');

export const TaskProgressRequest = z.object({
  id_task: text(MAX_NAME_CHARS).nullable().default(null).describe('`force_task_id` of the job.'),
  id_live_preview: int(-MAX_PREVIEW_ID, MAX_PREVIEW_ID)
    .nullable()
    .default(-1)
    .describe('Id of the preview that the client has.'),
  live_preview: bool().nullable().default(true).describe('Whether a preview is wanted.'),
});

export const TaskProgressResponse = z
  .object({
    active: z.boolean().describe('Whether the task is running.'),
    queued: z.boolean().describe('Whether the task waits.'),
    completed: z.boolean().describe('Whether the task is among the last that ended.'),
    progress: z.number().nullable().describe('0 to 1.'),
    eta: z.number().nullable().describe('Seconds.'),
    live_preview: z.string().nullable().describe('Data URI of a preview the client has not.'),
    id_live_preview: z.int().nullable().describe('Id of that preview.'),
    textinfo: z.string().nullable().describe('Text for people.'),
  })
  .describe('Where one task is.');

export const PendingTasksResponse = z
  .object({
    size: z.int().describe('Tasks that wait or run.'),
    tasks: z.array(z.string()).describe('Their ids, the running one first.'),
  })
  .describe('What the server has to do.');
