/** `POST /sdapi/v1/sparkle`: a finished picture in, a polished one out. */
import { z } from 'zod';
import {
  MAX_BATCH_SIZE,
  MAX_CFG_SCALE,
  MAX_NAME_CHARS,
  MAX_PROMPT_CHARS,
  MAX_SEED,
  MAX_SIDE,
  MAX_STEPS,
  MIN_SIDE,
} from './bounds.ts';
import { bool, dict, float, int, text } from './coercion.ts';
import { picture } from './extras.ts';

/** Weights beyond any that people use; negative ones smooth instead. */
const MAX_WEIGHT = 100;
/** Standard deviation of a mask's blur in pixels. */
const MAX_MASK_BLUR = 256;
/** Steps that run unless a request says otherwise; people aim at 10 to 16. */
const EXECUTED_STEPS = 12;

const name = () => text(MAX_NAME_CHARS).nullable().default(null);

export const SparkleRequest = z
  .object({
    image: picture().describe('PNG, JPEG, WebP or GIF in base64 or as a data URL.'),
    strength: float(0, 1)
      .nullable()
      .default(0.5)
      .describe(
        'How much is polished: decides the weight and `denoising_strength` where they are null.',
      ),
    prompt: text(MAX_PROMPT_CHARS)
      .nullable()
      .default(null)
      .describe('null reads the prompt that the picture carries.'),
    negative_prompt: text(MAX_PROMPT_CHARS)
      .nullable()
      .default(null)
      .describe('null reads the negative prompt that the picture carries.'),
    lora: name().describe('LoRA of the pass; null takes `spo`, or the first whose name begins so.'),
    weight: float(-MAX_WEIGHT, MAX_WEIGHT)
      .nullable()
      .default(null)
      .describe('Weight of the LoRA; null follows from `strength` and `denoising_strength`.'),
    denoising_strength: float(0, 1)
      .nullable()
      .default(null)
      .describe('Share of the schedule that runs; null is 0.2 to 0.35 by `strength`.'),
    executed_steps: int(1, MAX_STEPS)
      .nullable()
      .default(EXECUTED_STEPS)
      .describe('Steps that are to run; decides `steps` where that is null.'),
    steps: int(1, MAX_STEPS).nullable().default(null).describe('Steps of the whole schedule.'),
    sampler_name: name().describe('Sampler; null is Euler a.'),
    scheduler: name().describe('Scheduler; null is the sampler’s own.'),
    cfg_scale: float(0, MAX_CFG_SCALE)
      .nullable()
      .default(5)
      .describe('Guidance; SPO was trained at 5.'),
    seed: int(-1, MAX_SEED).nullable().default(-1).describe('-1 or null draws one.'),
    batch_size: int(1, MAX_BATCH_SIZE).nullable().default(1).describe('Variants to make.'),
    width: int(MIN_SIDE, MAX_SIDE)
      .nullable()
      .default(null)
      .describe('Pixels; null is the picture’s own, to the nearest 8.'),
    height: int(MIN_SIDE, MAX_SIDE).nullable().default(null).describe('See `width`.'),
    mask: picture().nullable().default(null).describe('White is polished, black stays as it is.'),
    auto_mask: bool()
      .nullable()
      .default(false)
      .describe('Polish only what is brighter than its surroundings.'),
    mask_blur: int(0, MAX_MASK_BLUR).nullable().default(4).describe('Blur of the mask, pixels.'),
    override_settings: dict().nullable().default(null).describe('Options for this job only.'),
    send_images: bool().default(true).describe('false answers with an empty `images`.'),
    save_images: bool().default(false).describe('Save on the server.'),
    force_task_id: name().describe('Id for `/internal/progress`; drawn when null.'),
  })
  .describe('A finished picture to be polished with a preference LoRA. Unknown keys are ignored.');

export type SparkleRequest = z.infer<typeof SparkleRequest>;

export const SparkleResponse = z
  .object({
    images: z.array(z.string()).describe('Polished pictures in base64.'),
    parameters: z
      .record(z.string(), z.unknown())
      .describe('The img2img request that does the same; only `init_images` is left to add.'),
    info: z.string().describe('A JSON text, as img2img answers it.'),
    decisions: z
      .object({
        lora: z.string().describe('Name in the tag.'),
        weight: z.number().describe('Weight in the tag.'),
        denoising_strength: z.number().describe('Share of the schedule.'),
        steps: z.int().describe('Steps asked for.'),
        steps_executed: z.int().nullable().describe('Steps that run.'),
        prompt_from: z
          .enum(['request', 'picture', 'nothing'])
          .describe('Where the prompt is from.'),
        mask: z.enum(['none', 'request', 'highlights']).describe('What the pass is bounded by.'),
        width: z.int().describe('Pixels.'),
        height: z.int().describe('Pixels.'),
      })
      .describe('What was decided.'),
  })
  .describe('Polished pictures and how they were made.');
