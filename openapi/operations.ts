/** Every endpoint with its schemas: what `/openapi.json` documents and what 405 is decided by. */
import { AGENT_SCHEDULER_OPERATIONS } from './agent-scheduler-operations.ts';
import { CONTROLNET_OPERATIONS } from './controlnet-operations.ts';
import { EXTRA_NETWORKS_OPERATIONS } from './extra-networks-operations.ts';
import { GENERATION_OPERATIONS } from './generation-operations.ts';
import { JOB_OPERATIONS } from './job-operations.ts';
import { LORA_OPERATIONS } from './lora-operations.ts';
import { type Operation, QUEUED } from './operation.ts';
import {
  EmbeddingsResponse,
  LoraItem,
  PromptStyleItem,
  SamplerItem,
  SchedulerItem,
  ScriptInfo,
  ScriptsList,
  SDModelItem,
  SDVaeItem,
} from './schemas/catalogues.ts';
import { LatentUpscalerModeItem, RealesrganItem, UpscalerItem } from './schemas/extras.ts';
import { Options } from './schemas/options.ts';
import {
  PendingTasksResponse,
  ProgressQuery,
  ProgressResponse,
  TaskProgressRequest,
  TaskProgressResponse,
} from './schemas/progress.ts';
import {
  Flags,
  HealthResponse,
  HomeResponse,
  MemoryResponse,
  Nothing,
  Null,
  QueueStatusResponse,
  ReadyResponse,
} from './schemas/server.ts';
import { WEB_UI_OPERATIONS } from './web-ui-operations.ts';

export type { Operation } from './operation.ts';

const OPERATIONS: readonly Operation[] = [
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
    path: '/internal/ping',
    id: '_lambda__internal_ping_get',
    tag: 'Server',
    summary: 'Answers.',
    answer: Nothing,
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
  {
    method: 'get',
    path: '/sdapi/v1/samplers',
    id: 'get_samplers_sdapi_v1_samplers_get',
    tag: 'Lists',
    summary: 'Lists samplers.',
    answer: { listOf: SamplerItem },
  },
  {
    method: 'get',
    path: '/sdapi/v1/schedulers',
    id: 'get_schedulers_sdapi_v1_schedulers_get',
    tag: 'Lists',
    summary: 'Lists schedulers.',
    answer: { listOf: SchedulerItem },
  },
  {
    method: 'get',
    path: '/sdapi/v1/upscalers',
    id: 'get_upscalers_sdapi_v1_upscalers_get',
    tag: 'Lists',
    summary: 'Lists upscalers.',
    answer: { listOf: UpscalerItem },
  },
  {
    method: 'get',
    path: '/sdapi/v1/latent-upscale-modes',
    id: 'get_latent_upscale_modes_sdapi_v1_latent_upscale_modes_get',
    tag: 'Lists',
    summary: 'Lists the ways to enlarge a latent.',
    answer: { listOf: LatentUpscalerModeItem },
  },
  {
    method: 'get',
    path: '/sdapi/v1/realesrgan-models',
    id: 'get_realesrgan_models_sdapi_v1_realesrgan_models_get',
    tag: 'Lists',
    summary: 'Lists Real-ESRGAN models.',
    answer: { listOf: RealesrganItem },
  },
  {
    method: 'get',
    path: '/sdapi/v1/prompt-styles',
    id: 'get_prompt_styles_sdapi_v1_prompt_styles_get',
    tag: 'Lists',
    summary: 'Lists styles.',
    answer: { listOf: PromptStyleItem },
  },
  {
    method: 'get',
    path: '/sdapi/v1/scripts',
    id: 'get_scripts_list_sdapi_v1_scripts_get',
    tag: 'Lists',
    summary: 'Lists the titles of scripts.',
    answer: ScriptsList,
  },
  {
    method: 'get',
    path: '/sdapi/v1/script-info',
    id: 'get_script_info_sdapi_v1_script_info_get',
    tag: 'Lists',
    summary: 'Lists scripts with their arguments.',
    answer: { listOf: ScriptInfo },
  },
  {
    method: 'get',
    path: '/sdapi/v1/sd-models',
    id: 'get_sd_models_sdapi_v1_sd_models_get',
    tag: 'Models',
    summary: 'Lists checkpoints.',
    answer: { listOf: SDModelItem },
  },
  {
    method: 'get',
    path: '/sdapi/v1/sd-vae',
    id: 'get_sd_vaes_sdapi_v1_sd_vae_get',
    tag: 'Models',
    summary: 'Lists separate VAEs.',
    answer: { listOf: SDVaeItem },
  },
  {
    method: 'get',
    path: '/sdapi/v1/loras',
    id: 'get_loras_sdapi_v1_loras_get',
    tag: 'Models',
    summary: 'Lists LoRAs.',
    answer: { listOf: LoraItem },
  },
  {
    method: 'post',
    path: '/sdapi/v1/refresh-loras',
    id: 'refresh_loras_sdapi_v1_refresh_loras_post',
    tag: 'Models',
    summary: 'Looks for new LoRAs.',
    answer: Null,
  },
  {
    method: 'get',
    path: '/sdapi/v1/embeddings',
    id: 'get_embeddings_sdapi_v1_embeddings_get',
    tag: 'Models',
    summary: 'Lists textual inversion embeddings: those that fit the checkpoint, and the others.',
    answer: EmbeddingsResponse,
  },
  {
    method: 'post',
    path: '/sdapi/v1/refresh-embeddings',
    id: 'refresh_embeddings_sdapi_v1_refresh_embeddings_post',
    tag: 'Models',
    summary: 'Looks for new embeddings.',
    answer: Null,
  },
  {
    method: 'post',
    path: '/sdapi/v1/refresh-checkpoints',
    id: 'refresh_checkpoints_sdapi_v1_refresh_checkpoints_post',
    tag: 'Models',
    summary: 'Looks for new checkpoints.',
    answer: Null,
  },
  {
    method: 'post',
    path: '/sdapi/v1/refresh-vae',
    id: 'refresh_vae_sdapi_v1_refresh_vae_post',
    tag: 'Models',
    summary: 'Looks for new VAEs.',
    answer: Null,
  },
  {
    method: 'post',
    path: '/sdapi/v1/unload-checkpoint',
    id: 'unloadapi_sdapi_v1_unload_checkpoint_post',
    tag: 'Models',
    summary: 'Gives back the memory of the models.',
    answer: Nothing,
    statuses: QUEUED,
  },
  {
    method: 'post',
    path: '/sdapi/v1/reload-checkpoint',
    id: 'reloadapi_sdapi_v1_reload_checkpoint_post',
    tag: 'Models',
    summary: 'Loads the chosen checkpoint.',
    answer: Nothing,
    statuses: [404, ...QUEUED],
  },
  {
    method: 'get',
    path: '/sdapi/v1/memory',
    id: 'get_memory_sdapi_v1_memory_get',
    tag: 'Server',
    summary: 'Tells how much memory is in use.',
    answer: MemoryResponse,
  },
  {
    method: 'get',
    path: '/',
    id: 'home_get',
    tag: 'Server',
    summary: 'Says what runs here: a page for browsers, JSON for everyone else.',
    answer: HomeResponse,
  },
  {
    method: 'get',
    path: '/health',
    id: 'health_get',
    tag: 'Server',
    summary: 'Tells that the HTTP process lives; needs no password.',
    answer: HealthResponse,
  },
  {
    method: 'get',
    path: '/health/ready',
    id: 'health_ready_get',
    tag: 'Server',
    summary: 'Tells whether a job would start.',
    answer: ReadyResponse,
    statuses: [503],
  },
  {
    method: 'get',
    path: '/metrics',
    id: 'metrics_get',
    tag: 'Server',
    summary: 'Counters in the Prometheus text format.',
    answer: { media: 'text/plain' },
  },
  {
    method: 'get',
    path: '/queue/status',
    id: 'queue_status_get',
    tag: 'Server',
    summary: 'Tells how long the queue is.',
    answer: QueueStatusResponse,
  },
];

/** Endpoints that exist only with `--api-server-stop`. */
const STOP_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: '/sdapi/v1/server-stop',
    id: 'stop_webui_sdapi_v1_server_stop_post',
    tag: 'Server',
    summary: 'Ends the server when the running job is done.',
    answer: { media: 'text/plain' },
  },
  {
    method: 'post',
    path: '/sdapi/v1/server-kill',
    id: 'kill_webui_sdapi_v1_server_kill_post',
    tag: 'Server',
    summary: 'Ends the server at once.',
    answer: Nothing,
  },
  {
    method: 'post',
    path: '/sdapi/v1/server-restart',
    id: 'restart_webui_sdapi_v1_server_restart_post',
    tag: 'Server',
    summary: 'Always 501: whoever started the server can start it again.',
    answer: Nothing,
    statuses: [501],
  },
];

/**
 * Lists the endpoints of a server.
 *
 * @param withStop  whether clients may end the server
 */
export function listOperations(withStop: boolean): readonly Operation[] {
  const always = [
    ...GENERATION_OPERATIONS,
    ...OPERATIONS,
    ...LORA_OPERATIONS,
    ...EXTRA_NETWORKS_OPERATIONS,
    ...WEB_UI_OPERATIONS,
    ...CONTROLNET_OPERATIONS,
    ...JOB_OPERATIONS,
    ...AGENT_SCHEDULER_OPERATIONS,
  ];
  return withStop ? [...always, ...STOP_OPERATIONS] : always;
}
