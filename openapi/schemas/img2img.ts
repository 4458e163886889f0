/** `POST /sdapi/v1/img2img`. */
import { z } from 'zod';
import { MAX_BATCH_SIZE, MAX_CFG_SCALE, MAX_SIDE } from './bounds.ts';
import { bool, float, int, list } from './coercion.ts';
import { picture } from './extras.ts';
import {
  closingFields,
  leadingFields,
  loraField,
  samplingFields,
  trailingFields,
} from './generation.ts';

/** Standard deviation of a mask's blur in pixels; A1111's slider ends at 64. */
const MAX_MASK_BLUR = 256;
/** Factor on the first noise; A1111's slider ends at 1.5. */
const MAX_NOISE_MULTIPLIER = 10;

const { sampler_index, ...beforeInclude } = trailingFields;

export const Img2ImgRequest = z
  .object({
    ...leadingFields,
    denoising_strength: z
      .preprocess((value) => (value === null ? undefined : value), float(0, 1).default(0.75))
      .describe(
        'Share of the schedule that runs: `steps` at 0.2 executes about a fifth of them; see `GET /sdapi/v1/steps-plan`.',
      ),
    ...samplingFields,
    init_images: list(picture(), MAX_BATCH_SIZE)
      .nullable()
      .default(null)
      .describe(
        'PNG, JPEG, WebP or GIF in base64 or as data URLs. One is used for the whole batch; several make a batch of as many.',
      ),
    resize_mode: int(0, 3)
      .nullable()
      .default(0)
      .describe('0 stretches, 1 crops, 2 fills the bars, 3 resizes the latent.'),
    image_cfg_scale: float(0, MAX_CFG_SCALE)
      .nullable()
      .default(null)
      .describe('Guidance by the picture; instruct checkpoints only.'),
    mask: picture()
      .nullable()
      .default(null)
      .describe('Picture whose white is repainted, or whose opaque part if it has transparency.'),
    mask_blur_x: int(0, MAX_MASK_BLUR).nullable().default(4).describe('Blur along rows, pixels.'),
    mask_blur_y: int(0, MAX_MASK_BLUR)
      .nullable()
      .default(4)
      .describe('Blur along columns, pixels.'),
    mask_blur: int(0, MAX_MASK_BLUR).nullable().default(null).describe('Sets both blurs.'),
    mask_round: bool()
      .nullable()
      .default(true)
      .describe('Whether the latent’s mask and a transparent mask are all or nothing.'),
    inpainting_fill: int(0, 3)
      .nullable()
      .default(0)
      .describe('Under the mask: 0 colours around it, 1 the picture, 2 noise, 3 nothing.'),
    inpaint_full_res: bool()
      .nullable()
      .default(true)
      .describe('Draw the masked area alone, at width x height, and put it back.'),
    inpaint_full_res_padding: int(0, MAX_SIDE)
      .nullable()
      .default(0)
      .describe('Pixels around the masked area that are drawn with it.'),
    inpainting_mask_invert: int(0, 1)
      .nullable()
      .default(0)
      .describe('1 repaints what is not masked.'),
    initial_noise_multiplier: float(0, MAX_NOISE_MULTIPLIER)
      .nullable()
      .default(null)
      .describe('Factor on the first noise; null takes the option.'),
    latent_mask: picture()
      .nullable()
      .default(null)
      .describe('Another mask for the latent alone, used beside `mask`; A1111 fails with one.'),
    ...beforeInclude,
    sampler_index,
    include_init_images: bool()
      .default(false)
      .describe('Whether `parameters` repeats `init_images` and `mask`.'),
    ...closingFields,
    ...loraField,
  })
  .describe('Pictures to be redrawn. Numbers may come as text; unknown keys are ignored.');

export type Img2ImgRequest = z.infer<typeof Img2ImgRequest>;
