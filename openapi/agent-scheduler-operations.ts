/** The routes of the extension agent-scheduler, with those of its first versions. */
import type { z } from 'zod';
import { type Operation, QUEUED } from './operation.ts';
import {
  ExportedTask,
  HistoryQuery,
  HistoryResponse,
  ImportRequest,
  MoveParams,
  Outcome,
  PageQuery,
  QueueTaskFields,
  QueueTaskResponse,
  RenameQuery,
  ResultsQuery,
  SamplerName,
  SchedulerQueueResponse,
  SDModelTitle,
  TaskParams,
  UpdateTaskArgs,
} from './schemas/agent-scheduler.ts';
import { Img2ImgRequest } from './schemas/img2img.ts';
import { Txt2ImgRequest } from './schemas/txt2img.ts';

const ROOT = '/agent-scheduler/v1';
const SUBMITTED = [400, 404, 409, 413, 415, ...QUEUED] as const;

type Parts = Pick<Operation, 'summary'> & Partial<Operation>;

/** An operation of the extension: FastAPI makes its id of the function, the path and the method. */
function operation(
  method: Operation['method'],
  path: string,
  name: string,
  parts: Parts,
): Operation {
  const full = ROOT + path;
  const id = `${name}${full.replace(/\W/g, '_')}_${method}`;
  return { method, path: full, id, tag: 'Jobs', answer: Outcome, ...parts };
}

/** An action on one task, under its name now and its name in the extension's first versions. */
function action(verb: string, rest: string, name: string, parts: Parts): Operation[] {
  const params = { params: TaskParams, ...parts };
  return [
    operation('post', `/task/{id}/${verb}${rest}`, name, params),
    operation('post', `/${verb}/{id}${rest}`, name, params),
  ];
}

function submission(kind: 'txt2img' | 'img2img', request: z.ZodObject): Operation {
  return operation('post', `/queue/${kind}`, `queue_${kind}`, {
    summary: `Takes a ${kind} task and answers at once with its id.`,
    body: request
      .extend(QueueTaskFields.shape)
      .describe('The fields of the web UI’s own endpoint, and three more.'),
    answer: QueueTaskResponse,
    statuses: SUBMITTED,
  });
}

export const AGENT_SCHEDULER_OPERATIONS: readonly Operation[] = [
  operation('get', '/samplers', 'get_samplers', {
    summary: 'Lists the names of the samplers.',
    answer: { listOf: SamplerName },
  }),
  operation('get', '/sd-models', 'get_sd_models', {
    summary: 'Lists the titles of the checkpoints.',
    answer: { listOf: SDModelTitle },
  }),
  submission('txt2img', Txt2ImgRequest),
  submission('img2img', Img2ImgRequest),
  operation('get', '/queue', 'queue_status_api', {
    summary: 'Lists the tasks that run and wait.',
    query: PageQuery,
    answer: SchedulerQueueResponse,
  }),
  operation('get', '/history', 'history_api', {
    summary: 'Lists the tasks that ended not long ago.',
    query: HistoryQuery,
    answer: HistoryResponse,
  }),
  operation('get', '/export', 'export_queue', {
    summary: 'Lists the waiting tasks with their whole requests.',
    query: PageQuery,
    answer: { listOf: ExportedTask },
  }),
  operation('post', '/import', 'import_queue', {
    summary: 'Queues exported tasks again.',
    body: ImportRequest,
    statuses: SUBMITTED,
  }),
  operation('get', '/task/{id}', 'get_task', {
    summary: 'Tells where a task is.',
    params: TaskParams,
  }),
  operation('get', '/task/{id}/position', 'get_task_position', {
    summary: 'Tells the place of a task.',
    params: TaskParams,
  }),
  ...['/task/{id}/results', '/results/{id}'].map((path) =>
    operation('get', path, 'get_task_results', {
      summary: 'Answers the pictures of a task that is done.',
      params: TaskParams,
      query: ResultsQuery,
      file: 'application/zip',
    }),
  ),
  operation('put', '/task/{id}', 'update_task', {
    summary: 'Changes a task that waits.',
    params: TaskParams,
    body: UpdateTaskArgs,
    statuses: SUBMITTED,
  }),
  operation('delete', '/task/{id}', 'delete_task', {
    summary: 'Interrupts a task that runs; forgets any other.',
    params: TaskParams,
  }),
  operation('post', '/delete/{id}', 'delete_task', {
    summary: 'Interrupts a task that runs; forgets any other.',
    params: TaskParams,
  }),
  ...action('run', '', 'run_task', { summary: 'Makes a waiting task the next one.' }),
  ...action('requeue', '', 'requeue_task', {
    summary: 'Queues a copy of a task.',
    statuses: SUBMITTED,
  }),
  ...action('move', '/{over_id}', 'move_task', {
    summary: 'Moves a waiting task to the `top`, the `bottom`, or before another.',
    params: MoveParams,
  }),
  ...action('bookmark', '', 'pin_task', { summary: 'Keeps a task from being forgotten early.' }),
  ...action('unbookmark', '', 'unpin_task', { summary: 'Takes a bookmark back.' }),
  ...action('rename', '', 'rename_task', { summary: 'Names a task.', query: RenameQuery }),
  operation('post', '/task/requeue-failed', 'requeue_failed_tasks', {
    summary: 'Queues all tasks that failed again.',
    statuses: SUBMITTED,
  }),
  ...['/queue/pause', '/pause'].map((path) =>
    operation('post', path, 'pause_queue', {
      summary: 'Lets tasks wait; synchronous requests go on.',
    }),
  ),
  ...['/queue/resume', '/resume'].map((path) =>
    operation('post', path, 'resume_queue', { summary: 'Lets tasks run again.' }),
  ),
  operation('post', '/queue/clear', 'clear_queue', { summary: 'Forgets the waiting tasks.' }),
  operation('post', '/history/clear', 'clear_history', { summary: 'Forgets the ended tasks.' }),
];
