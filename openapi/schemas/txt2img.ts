/** `POST /sdapi/v1/txt2img`. */
import { z } from 'zod';
import { MAX_CFG_SCALE, MAX_NAME_CHARS, MAX_PROMPT_CHARS, MAX_SIDE, MAX_STEPS } from './bounds.ts';
import { bool, float, int, text } from './coercion.ts';
import {
  closingFields,
  leadingFields,
  loraField,
  samplingFields,
  trailingFields,
} from './generation.ts';

/** Largest factor of the hires pass that is read; the result is bounded by `MAX_SIDE` anyway. */
const MAX_HR_SCALE = 64;

const name = () => text(MAX_NAME_CHARS).nullable().default(null);

export const Txt2ImgRequest = z
  .object({
    ...leadingFields,
    denoising_strength: float(0, 1)
      .nullable()
      .default(null)
      .describe('Share of the schedule that the hires pass runs.'),
    ...samplingFields,
    enable_hr: bool().nullable().default(false).describe('Run a second pass at a larger size.'),
    firstphase_width: int(0, MAX_SIDE)
      .nullable()
      .default(0)
      .describe('If this or `firstphase_height` is not 0, both replace width and height.'),
    firstphase_height: int(0, MAX_SIDE).nullable().default(0).describe('See `firstphase_width`.'),
    hr_scale: float(0, MAX_HR_SCALE).nullable().default(2).describe('Factor of the hires pass.'),
    hr_upscaler: name().describe('Upscaler of the hires pass; null is `Latent`.'),
    hr_second_pass_steps: int(0, MAX_STEPS).nullable().default(0).describe('0 runs `steps` again.'),
    hr_resize_x: int(0, MAX_SIDE).nullable().default(0).describe('Final width; 0 uses `hr_scale`.'),
    hr_resize_y: int(0, MAX_SIDE)
      .nullable()
      .default(0)
      .describe('Final height; 0 uses `hr_scale`.'),
    hr_checkpoint_name: name().describe('Checkpoint of the hires pass.'),
    hr_sampler_name: name().describe('Sampler of the hires pass; null is the same.'),
    hr_scheduler: name().describe('Scheduler of the hires pass; null is the same.'),
    hr_prompt: text(MAX_PROMPT_CHARS).nullable().default('').describe('Empty is the same prompt.'),
    hr_negative_prompt: text(MAX_PROMPT_CHARS)
      .nullable()
      .default('')
      .describe('Empty is the same negative prompt.'),
    hr_cfg: float(0, MAX_CFG_SCALE)
      .nullable()
      .default(null)
      .describe('Guidance of the hires pass, as in Forge; null is the same.'),
    ...trailingFields,
    ...closingFields,
    ...loraField,
  })
  .describe('A text to be drawn. Numbers may come as text; unknown keys are ignored.');

export type Txt2ImgRequest = z.infer<typeof Txt2ImgRequest>;

const answerFields = {
  images: z.array(z.string()).describe('Pictures in base64, without a data URI prefix.'),
  parameters: z
    .record(z.string(), z.unknown())
    .describe('Every request field with the value that was used.'),
  info: z
    .string()
    .describe('A JSON text: all_seeds, infotexts, sd_model_name and what else A1111 tells.'),
};

export const TextToImageResponse = z.object(answerFields).describe('Finished pictures.');

export const ImageToImageResponse = z.object(answerFields).describe('Finished pictures.');
