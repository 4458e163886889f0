/** What pictures say about themselves, and upscaling: png-info and the lists of upscalers. */
import { z } from 'zod';
import { text } from './coercion.ts';

/** Characters of a picture in base64; the body's own limit is the same. */
const MAX_IMAGE_CHARS = 64 * 1024 * 1024;

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
