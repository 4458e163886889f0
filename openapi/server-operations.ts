/** Operations on the server itself. */
import type { Operation } from './operation.ts';
import {
  HealthResponse,
  HomeResponse,
  MemoryResponse,
  Nothing,
  QueueStatusResponse,
  ReadyResponse,
} from './schemas/server.ts';

export const SERVER_OPERATIONS: readonly Operation[] = [
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
export const STOP_OPERATIONS: readonly Operation[] = [
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
