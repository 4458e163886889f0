/** What pictures say about themselves, and upscaling: png-info and the lists of upscalers. */
import { z } from 'zod';
import { MAX_NAME_CHARS } from './bounds.ts';
import { bool, float, int, list, text } from './coercion.ts';

/** Characters of a picture in base64; the body's own limit is the same. */
const MAX_IMAGE_CHARS = 64 * 1024 * 1024;

/** Pixels per side of an upscaled picture; its pixels are bounded, too. */
const MAX_UPSCALED_SIDE = 16_384;
/** Factors that are of any use. */
const MIN_FACTOR = 0.01;
const MAX_FACTOR = 64;
/** Pictures of one batch; the body ends at 64 MB anyway. */
const MAX_BATCH_PICTURES = 1_000;

/** A picture in a request. */
export const picture = () => text(MAX_IMAGE_CHARS);

export const PngInfoRequest = z
  .object({ image: picture().describe('PNG, JPEG, WebP or GIF in base64 or as a data URL.') })
  .describe('A picture to be read.');

export const PngInfoResponse = z
  .object({
    info: z.string().describe('The infotext as stored; empty when there is none.'),
    items: z.record(z.string(), z.unknown()).describe('Other texts of the file by keyword.'),
    parameters: z
      .record(z.string(), z.unknown())
      .describe('The infotext taken apart, with the web UI’s defaults. Read values are text.'),
  })
  .describe('What a picture says about how it was made.');

export const UpscalerItem = z
  .object({
    name: z.string().describe('Name for `upscaler_1`, `upscaler_2` and `hr_upscaler`.'),
    model_name: z.string().nullable().describe('Kind of the file; null for the built-in ones.'),
    model_path: z.string().nullable().describe('Path on the server.'),
    model_url: z.string().nullable().describe('Always null.'),
    scale: z.number().nullable().describe('Factor of the model.'),
  })
  .describe('An upscaler.');

export const LatentUpscalerModeItem = z
  .object({ name: z.string().describe('Name for `hr_upscaler`.') })
  .describe('A way to enlarge the latent.');

export const RealesrganItem = z
  .object({
    name: z.string().describe('Name of the upscaler.'),
    path: z.string().nullable().describe('Path on the server.'),
    scale: z.int().nullable().describe('Factor of the model.'),
  })
  .describe('A Real-ESRGAN model.');

const upscalingFields = {
  resize_mode: int(0, 1)
    .default(0)
    .describe('0 takes `upscaling_resize`; 1 takes `upscaling_resize_w` and `upscaling_resize_h`.'),
  show_extras_results: bool().default(true).describe('Accepted, without effect.'),
  gfpgan_visibility: float(0, 1).default(0).describe('Must be 0: there is no face restorer.'),
  codeformer_visibility: float(0, 1).default(0).describe('Must be 0: there is no face restorer.'),
  codeformer_weight: float(0, 1).default(0).describe('Accepted, without effect.'),
  upscaling_resize: float(MIN_FACTOR, MAX_FACTOR).default(2).describe('Times as large.'),
  upscaling_resize_w: int(1, MAX_UPSCALED_SIDE).default(512).describe('Width to cover, pixels.'),
  upscaling_resize_h: int(1, MAX_UPSCALED_SIDE).default(512).describe('Height to cover, pixels.'),
  upscaling_crop: bool().default(true).describe('Whether what sticks out of that size is cut off.'),
  upscaler_1: text(MAX_NAME_CHARS)
    .default('None')
    .describe('Name of `GET /sdapi/v1/upscalers`; `None` leaves the picture as it is.'),
  upscaler_2: text(MAX_NAME_CHARS).default('None').describe('Upscaler that is mixed in.'),
  extras_upscaler_2_visibility: float(0, 1).default(0).describe('Its share.'),
  upscale_first: bool().default(false).describe('Accepted, without effect.'),
};

export const ExtrasSingleImageRequest = z
  .object({
    ...upscalingFields,
    image: picture().default('').describe('A picture in base64, as a data URL, or its address.'),
  })
  .describe('A picture to be enlarged.');

export const FileData = z
  .object({
    data: picture().describe('A picture in base64 or as a data URL.'),
    name: text(MAX_NAME_CHARS).describe('Any name; not used.'),
  })
  .describe('A picture as a file.');

export const ExtrasBatchImagesRequest = z
  .object({
    ...upscalingFields,
    imageList: list(FileData, MAX_BATCH_PICTURES).describe(
      'Pictures to be enlarged in the same way.',
    ),
  })
  .describe('Pictures to be enlarged.');

/** What both requests have in common. */
export type UpscalingFields = Omit<z.infer<typeof ExtrasSingleImageRequest>, 'image'>;

const htmlInfo = () => z.string().describe('What was done, as HTML.');

export const ExtrasSingleImageResponse = z
  .object({ html_info: htmlInfo(), image: z.string().describe('The picture in base64.') })
  .describe('An enlarged picture.');

export const ExtrasBatchImagesResponse = z
  .object({
    html_info: htmlInfo(),
    images: z.array(z.string()).describe('The pictures in base64, in their order.'),
  })
  .describe('Enlarged pictures.');
