/** Endpoints for LoRA files that the web UI does not have. */
import type { Operation } from './operation.ts';
import { LoraItem } from './schemas/catalogues.ts';
import {
  DeletedLora,
  InspectionQuery,
  LoraInspection,
  LoraName,
  LoraUpload,
} from './schemas/loras.ts';

export const LORA_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/sdapi/v1/loras/{name}',
    id: 'inspect_lora',
    tag: 'Models',
    summary: 'Tells what a file is, what it changes and how strongly, and which weights to try.',
    params: LoraName,
    query: InspectionQuery,
    answer: LoraInspection,
    statuses: [404],
  },
  {
    method: 'post',
    path: '/sdapi/v1/loras',
    id: 'upload_lora',
    tag: 'Models',
    summary: 'Takes a LoRA file as multipart/form-data; only with --lora-upload.',
    upload: LoraUpload,
    answer: LoraItem,
    statuses: [400, 403, 409, 413, 415, 422, 429, 507],
  },
  {
    method: 'delete',
    path: '/sdapi/v1/loras/{name}',
    id: 'delete_lora',
    tag: 'Models',
    summary: 'Removes a LoRA file; only with --lora-upload.',
    params: LoraName,
    answer: DeletedLora,
    statuses: [403, 404],
  },
];
