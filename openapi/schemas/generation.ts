/** Fields that txt2img and img2img share, in the order in which A1111 echoes them. */
import { z } from 'zod';
import {
  MAX_BATCH_SIZE,
  MAX_CFG_SCALE,
  MAX_LORA_WEIGHT,
  MAX_LORAS,
  MAX_N_ITER,
  MAX_NAME_CHARS,
  MAX_PROMPT_CHARS,
  MAX_SEED,
  MAX_SIDE,
  MAX_STEPS,
  MAX_STYLES,
  MIN_SIDE,
} from './bounds.ts';
import { bool, dict, float, int, list, text } from './coercion.ts';

/** Bound of sampler numbers (eta, churn): far above any use, so that squares stay finite. */
const MAX_SAMPLER_NUMBER = 1_000;
/** Arguments of one script; X/Y/Z plot has 18. */
const MAX_SCRIPT_ARGS = 1_000;

/** A seed: the empty text that some front-ends send means random, as -1 and null do. */
function seed() {
  return z
    .preprocess((value) => (value === '' ? -1 : value), int(-1, MAX_SEED))
    .nullable()
    .default(-1);
}

const name = () => text(MAX_NAME_CHARS).nullable().default(null);
const samplerNumber = () => float(0, MAX_SAMPLER_NUMBER).nullable().default(null);

/** Fields before those that only txt2img or img2img has. */
export const leadingFields = {
  prompt: text(MAX_PROMPT_CHARS)
    .nullable()
    .default('')
    .describe('What to draw: weights `(x:1.3)`, `BREAK`, and `<lora:name:weight>` tags.'),
  negative_prompt: text(MAX_PROMPT_CHARS).nullable().default('').describe('What to avoid.'),
  styles: list(text(MAX_NAME_CHARS), MAX_STYLES)
    .nullable()
    .default(null)
    .describe('Names from `GET /sdapi/v1/prompt-styles`; unknown names do nothing.'),
  seed: seed().describe(
    '-1, null or an empty text draws one. Picture i of the job takes seed + i.',
  ),
  subseed: seed().describe('Seed of the variation.'),
  subseed_strength: float(0, 1)
    .nullable()
    .default(0)
    .describe('0 keeps the noise of `seed`, 1 takes that of `subseed`.'),
  seed_resize_from_h: int(-1, MAX_SIDE)
    .nullable()
    .default(-1)
    .describe('Height whose noise is to be kept at another size; -1 or 0 is off.'),
  seed_resize_from_w: int(-1, MAX_SIDE)
    .nullable()
    .default(-1)
    .describe('Width whose noise is to be kept at another size; -1 or 0 is off.'),
  sampler_name: name().describe(
    'Name or alias from `GET /sdapi/v1/samplers`; a scheduler may follow, as in `DPM++ 2M Karras`.',
  ),
  scheduler: name().describe('Name or label from `GET /sdapi/v1/schedulers`.'),
  batch_size: int(1, MAX_BATCH_SIZE).nullable().default(1).describe('Pictures made at once.'),
  n_iter: int(1, MAX_N_ITER).nullable().default(1).describe('Batches made one after the other.'),
  steps: int(1, MAX_STEPS).nullable().default(50).describe('Sampling steps.'),
  cfg_scale: float(0, MAX_CFG_SCALE)
    .nullable()
    .default(7)
    .describe('Guidance; 1 runs without the negative prompt.'),
  width: int(MIN_SIDE, MAX_SIDE)
    .nullable()
    .default(512)
    .describe('Pixels; the latent is floor(width / 8) wide.'),
  height: int(MIN_SIDE, MAX_SIDE)
    .nullable()
    .default(512)
    .describe('Pixels; the latent is floor(height / 8) high.'),
  restore_faces: bool()
    .nullable()
    .default(null)
    .describe('null takes the option `face_restoration`.'),
  tiling: bool()
    .nullable()
    .default(null)
    .describe('Whether the picture can be tiled; null takes the option `tiling`.'),
  do_not_save_samples: bool().nullable().default(false).describe('Ignored: `save_images` decides.'),
  do_not_save_grid: bool().nullable().default(false).describe('Ignored: `save_images` decides.'),
  eta: samplerNumber().describe('Noise of ancestral samplers and DDIM; null is the sampler’s own.'),
};

/** Sampler numbers, overrides and the refiner. */
export const samplingFields = {
  s_min_uncond: samplerNumber().describe(
    'Below this sigma every second step skips the negative prompt; null takes the option.',
  ),
  s_churn: samplerNumber().describe('Churn of Euler, Heun and DPM2; null takes the option.'),
  s_tmax: samplerNumber().describe('Largest sigma that is churned; 0 means no bound.'),
  s_tmin: samplerNumber().describe('Smallest sigma that is churned.'),
  s_noise: samplerNumber().describe('Strength of the noise that is added while sampling.'),
  override_settings: dict()
    .nullable()
    .default(null)
    .describe('Options for this job only; unknown ones are ignored.'),
  override_settings_restore_afterwards: bool()
    .nullable()
    .default(true)
    .describe('false keeps `override_settings` for later jobs.'),
  refiner_checkpoint: name().describe(
    'Checkpoint that takes over; null, empty and `None` are off.',
  ),
  refiner_switch_at: float(0, 1)
    .nullable()
    .default(null)
    .describe('Share of the noise levels before it; null, as 0, lets it draw from the first step.'),
  disable_extra_networks: bool()
    .nullable()
    .default(false)
    .describe('true removes `<lora:…>` tags and applies none.'),
  firstpass_image: z.unknown().nullable().default(null).describe('Not used.'),
  comments: dict().nullable().default(null).describe('Accepted and ignored, as in A1111.'),
};

/** Fields after those that only txt2img or img2img has. */
export const trailingFields = {
  force_task_id: name().describe('Id for `/internal/progress`; drawn when null.'),
  sampler_index: text(MAX_NAME_CHARS)
    .default('Euler')
    .describe('Used when `sampler_name` is empty.'),
};

/** Scripts and what comes back. */
export const closingFields = {
  script_name: name().describe('Script to run; null and empty are none.'),
  script_args: list(z.unknown(), MAX_SCRIPT_ARGS).default([]).describe('Its arguments.'),
  send_images: bool().default(true).describe('false answers with an empty `images`.'),
  save_images: bool()
    .default(false)
    .describe('Save on the server; two or more pictures then come with a grid at `images[0]`.'),
  alwayson_scripts: dict()
    .default({})
    .describe('`{title: {args: […]}}`; entries that are switched off are ignored.'),
  infotext: text(MAX_PROMPT_CHARS)
    .nullable()
    .default(null)
    .describe('Parameters as A1111 writes them into pictures.'),
};

const tagKey = (what: string) => text(MAX_NAME_CHARS).optional().describe(what);
/** What a tag may say by key: the same words and values. */
const tagKeys = {
  te: tagKey('Weight of the text encoders; default: `multiplier`.'),
  unet: tagKey('Weight of the UNet, also over steps: `0@0,1.5@0.5`; default: `multiplier`.'),
  dyn: tagKey('Ranks to use, from the first.'),
  lbw: tagKey('Weights by block: a preset such as `OUTALL`, or 12, 17, 20 or 26 numbers.'),
  start: tagKey('Steps before it acts; below 1: as a share of the steps.'),
  stop: tagKey('Steps after which it no longer acts; below 1: as a share.'),
  hr: tagKey('Weight in the second pass of a hires request.'),
  hrte: tagKey('The same, of the text encoders alone.'),
  hrunet: tagKey('The same, of the UNet alone.'),
};

/** LoRAs beside the prompt, as stable-diffusion.cpp and koboldcpp take them. */
export const loraField = {
  lora: list(
    z.object({
      path: text(MAX_NAME_CHARS).optional().describe('File name, with or without extension.'),
      name: text(MAX_NAME_CHARS).optional().describe('Name as in `GET /sdapi/v1/loras`.'),
      multiplier: float(-MAX_LORA_WEIGHT, MAX_LORA_WEIGHT).default(1).describe('Weight.'),
      multipliers: list(float(-MAX_LORA_WEIGHT, MAX_LORA_WEIGHT), MAX_LORAS)
        .optional()
        .describe('UNet weights, one per picture of a batch, in turns; win over `multiplier`.'),
      ...tagKeys,
    }),
    MAX_LORAS,
  )
    .nullable()
    .optional()
    .describe('LoRAs to apply besides the tags of the prompt.'),
};

/** The fields that txt2img and img2img share. */
export type CommonRequest = z.infer<
  z.ZodObject<
    typeof leadingFields &
      typeof samplingFields &
      typeof trailingFields &
      typeof closingFields &
      typeof loraField
  >
>;
