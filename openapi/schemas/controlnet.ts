/** The endpoints of the ControlNet extension that clients call to see what it can do. */
import { z } from 'zod';
import { MAX_NAME_CHARS } from './bounds.ts';
import { list, text } from './coercion.ts';
import { picture } from './extras.ts';

/** Pictures of one call. */
const MAX_DETECTED_PICTURES = 16;

export const ControlNetModels = z
  .object({ model_list: z.array(z.string()).describe('Always empty: there are no models.') })
  .describe('Models of ControlNet.');

export const ControlNetModules = z
  .object({
    module_list: z.array(z.string()).describe('Only `none`.'),
    module_detail: z.record(z.string(), z.unknown()).describe('Always empty.'),
  })
  .describe('Preprocessors of ControlNet.');

export const ControlNetDetectRequest = z
  .object({
    controlnet_module: text(MAX_NAME_CHARS)
      .default('none')
      .describe('Preprocessor; only `none` is here.'),
    controlnet_input_images: list(picture(), MAX_DETECTED_PICTURES).describe(
      'Pictures in base64 or as data URLs.',
    ),
  })
  .describe('Pictures to be looked at by a preprocessor.');

export const ControlNetDetectResponse = z
  .object({
    images: z.array(z.string()).describe('The pictures in base64, as they came.'),
    info: z.string().describe('`Success`.'),
  })
  .describe('What the preprocessor `none` makes of pictures: nothing.');
