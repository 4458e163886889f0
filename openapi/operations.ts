/** Every endpoint with its schemas: what `/openapi.json` documents and what 405 is decided by. */
import { AGENT_SCHEDULER_OPERATIONS } from './agent-scheduler-operations.ts';
import { CONTROL_OPERATIONS } from './control-operations.ts';
import { CONTROLNET_OPERATIONS } from './controlnet-operations.ts';
import { EXTRA_NETWORKS_OPERATIONS } from './extra-networks-operations.ts';
import { GENERATION_OPERATIONS } from './generation-operations.ts';
import { JOB_OPERATIONS } from './job-operations.ts';
import { LIST_OPERATIONS } from './list-operations.ts';
import { LORA_OPERATIONS } from './lora-operations.ts';
import type { Operation } from './operation.ts';
import { SERVER_OPERATIONS, STOP_OPERATIONS } from './server-operations.ts';
import { WEB_UI_OPERATIONS } from './web-ui-operations.ts';

export type { Operation } from './operation.ts';

/**
 * Lists the endpoints of a server.
 *
 * @param withStop  whether clients may end the server
 */
export function listOperations(withStop: boolean): readonly Operation[] {
  const always = [
    ...GENERATION_OPERATIONS,
    ...CONTROL_OPERATIONS,
    ...LIST_OPERATIONS,
    ...SERVER_OPERATIONS,
    ...LORA_OPERATIONS,
    ...EXTRA_NETWORKS_OPERATIONS,
    ...WEB_UI_OPERATIONS,
    ...CONTROLNET_OPERATIONS,
    ...JOB_OPERATIONS,
    ...AGENT_SCHEDULER_OPERATIONS,
  ];
  return withStop ? [...always, ...STOP_OPERATIONS] : always;
}
