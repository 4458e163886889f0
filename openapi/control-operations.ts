/** Operations on what runs, and on the options. */
import { type Operation, QUEUED } from './operation.ts';
import { Options } from './schemas/options.ts';
import {
  PendingTasksResponse,
  ProgressQuery,
  ProgressResponse,
  TaskProgressRequest,
  TaskProgressResponse,
} from './schemas/progress.ts';
import { Flags, Nothing, Null } from './schemas/server.ts';

export const CONTROL_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/sdapi/v1/progress',
    id: 'progressapi_sdapi_v1_progress_get',
    tag: 'Control',
    summary: 'Tells where the running job is.',
    query: ProgressQuery,
    answer: ProgressResponse,
  },
  {
    method: 'post',
    path: '/sdapi/v1/interrupt',
    id: 'interruptapi_sdapi_v1_interrupt_post',
    tag: 'Control',
    summary: 'Ends the running job within one step; it answers with what it has.',
    answer: Nothing,
  },
  {
    method: 'post',
    path: '/sdapi/v1/skip',
    id: 'skip_sdapi_v1_skip_post',
    tag: 'Control',
    summary: 'Ends the running iteration within one step.',
    answer: Null,
  },
  {
    method: 'post',
    path: '/internal/progress',
    id: 'progressapi_internal_progress_post',
    tag: 'Control',
    summary: 'Tells where one task is.',
    body: TaskProgressRequest,
    answer: TaskProgressResponse,
    statuses: [413, 415],
  },
  {
    method: 'get',
    path: '/internal/pending-tasks',
    id: 'get_pending_tasks_internal_pending_tasks_get',
    tag: 'Control',
    summary: 'Lists the tasks that wait or run.',
    answer: PendingTasksResponse,
  },
  {
    method: 'get',
    path: '/sdapi/v1/options',
    id: 'get_config_sdapi_v1_options_get',
    tag: 'Options',
    summary: 'Reads all options.',
    answer: Options,
  },
  {
    method: 'post',
    path: '/sdapi/v1/options',
    id: 'set_config_sdapi_v1_options_post',
    tag: 'Options',
    summary: 'Sets options and keeps them; a new checkpoint is loaded before the answer.',
    body: Options.partial().describe('Options to set; unknown keys are ignored.'),
    answer: Null,
    statuses: [404, 413, 415, ...QUEUED],
  },
  {
    method: 'get',
    path: '/sdapi/v1/cmd-flags',
    id: 'get_cmd_flags_sdapi_v1_cmd_flags_get',
    tag: 'Options',
    summary: 'Reads the command-line flags.',
    answer: Flags,
  },
];
