/** The routes of the extension agent-scheduler, as bots call them. */
import { z } from 'zod';
import { MAX_NAME_CHARS } from './bounds.ts';
import { bool, dict, int, text } from './coercion.ts';

/** UTF-16 units of an address; browsers end near 2,000. */
const MAX_URL_CHARS = 2_048;
/** UTF-16 units of an exported queue; the body has its own bound in bytes. */
const MAX_EXPORT_CHARS = 64 * 1024 * 1024;
/** Tasks of one page, and where it may begin. */
const MAX_PAGE = 1_000;

const name = () => text(MAX_NAME_CHARS).nullable().default(null);
const page = {
  limit: int(0, MAX_PAGE).default(20).describe('Most tasks to list.'),
  offset: int(0, MAX_PAGE).default(0).describe('Tasks to leave out first.'),
};

export const TaskParams = z.object({ id: z.string().describe('Id of the task.') });
export const MoveParams = TaskParams.extend({
  over_id: z.string().describe('Id of the task to be before, `top` or `bottom`.'),
});

/** What the extension takes beside the fields of the web UI's own endpoint. */
export const QueueTaskFields = z.object({
  checkpoint: name().describe('Any id of a checkpoint; null takes the one in use.'),
  vae: name().describe('Name of a VAE; null takes the one in use.'),
  callback_url: text(MAX_URL_CHARS)
    .nullable()
    .default(null)
    .describe('Gets a form with `task_id`, `status` and the pictures as `files` at the end.'),
});

export const QueueTaskResponse = z
  .object({ task_id: z.string().describe('Id of the task.') })
  .describe('A task that waits.');

export const PageQuery = z.object(page);
export const HistoryQuery = z.object({
  status: name().describe('done, failed, interrupted, bookmarked or all.'),
  ...page,
});
export const ResultsQuery = z.object({
  zip: bool().default(false).describe('true answers the pictures as a zip file.'),
});
export const RenameQuery = z.object({
  name: text(MAX_NAME_CHARS).default('').describe('Name for people.'),
});

export const TaskModel = z
  .object({
    id: z.string().describe('Id of the task.'),
    api_task_id: z.string().nullable().describe('Always null, as in the extension.'),
    api_task_callback: z.string().nullable().describe('Where its end is told.'),
    name: z.string().nullable().describe('Name for people.'),
    type: z.string().describe('txt2img or img2img.'),
    status: z.string().describe('pending, running, done, failed or interrupted.'),
    params: z.record(z.string(), z.unknown()).describe('The request without pictures and scripts.'),
    priority: z.number().nullable().describe('When it was submitted, milliseconds since 1970.'),
    position: z.int().nullable().describe('Place among the waiting tasks, from 0.'),
    result: z.string().nullable().describe('JSON with infotexts and geninfo, or the error.'),
    bookmarked: z.boolean().nullable().describe('Whether it is forgotten last.'),
    created_at: z.union([z.string(), z.number()]).nullable().describe('When it was submitted.'),
    updated_at: z.union([z.string(), z.number()]).nullable().describe('When it last changed.'),
  })
  .describe('A task.');

export const SchedulerQueueResponse = z
  .object({
    current_task_id: z.string().nullable().describe('The running task, of whatever kind.'),
    pending_tasks: z.array(TaskModel).describe('The running and the waiting ones.'),
    total_pending_tasks: z.int().describe('How many there are, on this page or not.'),
    paused: z.boolean().describe('Whether tasks wait until the queue is resumed.'),
  })
  .describe('The queue.');

export const HistoryResponse = z
  .object({
    tasks: z.array(TaskModel).describe('The newest first.'),
    total: z.int().describe('How many there are.'),
  })
  .describe('Tasks that ended not long ago.');

export const Outcome = z
  .object({
    success: z.boolean().describe('Whether it was done.'),
    message: z.string().optional().describe('What was done, or why not.'),
    data: z.unknown().optional().describe('What was asked for.'),
  })
  .describe('Outcome of an action; the status is 200 either way, as in the extension.');

export const SamplerName = z.string().describe('Name for `sampler_name`.');
export const SDModelTitle = z.string().describe('Title of a checkpoint.');

export const UpdateTaskArgs = z
  .object({
    name: name().describe('Name for people.'),
    checkpoint: name().describe('Any id of a checkpoint.'),
    params: dict().nullable().default(null).describe('Fields of the request to replace.'),
  })
  .describe('What to change of a task that waits.');

export const ImportRequest = z
  .object({ content: text(MAX_EXPORT_CHARS).describe('What `export` answered, as text.') })
  .describe('Tasks to queue again.');

export const ExportedTask = z
  .object({
    type: z.string().describe('Kind of the task.'),
    name: z.string().nullable().describe('Name for people.'),
    params: z.record(z.string(), z.unknown()).describe('The whole request.'),
    callback_url: z.string().nullable().describe('Where its end is told.'),
  })
  .describe('A waiting task.');

/** Names of components: the extension's own. */
export const SCHEDULER_REQUESTS = { UpdateTaskArgs };
export const SCHEDULER_ANSWERS = {
  HistoryResponse,
  QueueTaskResponse,
  TaskModel,
};
