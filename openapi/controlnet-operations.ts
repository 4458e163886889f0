/** What clients of the ControlNet extension ask for at their start. */
import type { Operation } from './operation.ts';
import {
  ControlNetDetectRequest,
  ControlNetDetectResponse,
  ControlNetModels,
  ControlNetModules,
} from './schemas/controlnet.ts';

export const CONTROLNET_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/controlnet/model_list',
    id: 'model_list_controlnet_model_list_get',
    tag: 'Lists',
    summary: 'Lists ControlNet models: there are none.',
    answer: ControlNetModels,
  },
  {
    method: 'get',
    path: '/controlnet/module_list',
    id: 'module_list_controlnet_module_list_get',
    tag: 'Lists',
    summary: 'Lists ControlNet preprocessors: only `none`.',
    answer: ControlNetModules,
  },
  {
    method: 'post',
    path: '/controlnet/detect',
    id: 'detect_controlnet_detect_post',
    tag: 'Generation',
    summary: 'Runs a ControlNet preprocessor; only `none`, which changes nothing.',
    body: ControlNetDetectRequest,
    answer: ControlNetDetectResponse,
    statuses: [413, 415],
  },
];
