/** Turns an img2img request into a job: pictures read from base64, numbers and options resolved. */
import type { Img2ImgRequest } from '../openapi/schemas/img2img.ts';
import type { Options } from '../openapi/schemas/options.ts';
import type { Img2ImgJob, MaskUse } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { checkPixels } from '../server/limits.ts';
import { readPicture } from './read-picture.ts';
import { readSoftInpainting } from './soft-inpainting.ts';
import { type PreparedJob, prepareDraw } from './txt2img-job.ts';

/** `inpainting_fill` in A1111's numbers. */
const FILLS = ['fill', 'original', 'latent noise', 'latent nothing'] as const;
/** Standard deviation of a mask's blur where a request says null, in pixels. */
const DEFAULT_MASK_BLUR = 4;

/**
 * Prepares an img2img job. The pictures are only unwrapped here: the engine decodes them.
 *
 * @throws HttpError IMAGE_NOT_FOUND, LIMIT_EXCEEDED and those of `prepareDraw`;
 *   ImageError INVALID_BASE64
 */
export async function createImg2ImgJob(
  context: Context,
  request: Img2ImgRequest,
): Promise<PreparedJob<Img2ImgJob>> {
  const sent = request.init_images ?? [];
  if (sent.length === 0) throw new HttpError('IMAGE_NOT_FOUND', 'Init image not found');
  const size = { width: request.width ?? 512, height: request.height ?? 512 };
  const { job: draw, options, overrides } = await prepareDraw(context, request, size);
  const batchSize = countBatch(sent.length, draw.batchSize);
  checkPixels(draw.width, draw.height, batchSize, draw.nIter);
  const job: Img2ImgJob = {
    kind: 'img2img',
    ...draw,
    options: { ...draw.options, tokenMergingRatio: mergingRatio(options, overrides) },
    batchSize,
    denoisingStrength: request.denoising_strength,
    initImages: await readPictures(sent, 'init_images', options),
    resizeMode: (request.resize_mode ?? 0) as Img2ImgJob['resizeMode'],
    upscaler: await findUpscaler(context, options),
    exactSteps: options.img2img_fix_steps,
    noiseMultiplier: request.initial_noise_multiplier ?? options.initial_noise_multiplier,
    extraNoise: options.img2img_extra_noise,
    background: readColor(options.img2img_background_color),
    correctsColors: options.img2img_color_correction,
    conditioningMaskWeight: options.inpainting_mask_weight,
    imageCfgScale: request.image_cfg_scale,
    mask: await readMaskUse(request, options),
  };
  return { job, options, overrides };
}

/** An override of the general ratio wins over img2img's own, and that over the general one. */
function mergingRatio(options: Options, overrides: Partial<Options>): number {
  return (
    overrides.token_merging_ratio ||
    options.token_merging_ratio_img2img ||
    options.token_merging_ratio
  );
}

/** The upscaler that init images are enlarged with; null for Lanczos, which needs none. */
async function findUpscaler(
  { upscalers }: Context,
  { upscaler_for_img2img: name, ESRGAN_tile, ESRGAN_tile_overlap }: Options,
): Promise<Img2ImgJob['upscaler']> {
  if (name === null || name === '' || name === 'None') return null;
  const { name: known, kind, path } = await upscalers.find(name);
  const tiles = { size: ESRGAN_tile, overlap: ESRGAN_tile_overlap };
  return { ref: { name: known, kind, path }, tiles };
}

/** Several pictures are a batch of their own; one is used for all. */
function countBatch(pictures: number, batchSize: number): number {
  if (pictures === 1) return batchSize;
  if (pictures <= batchSize) return pictures;
  throw new HttpError(
    'LIMIT_EXCEEDED',
    `bad number of images passed: ${pictures}; expecting ${batchSize} or less`,
  );
}

async function readPictures(
  sent: readonly string[],
  field: string,
  options: Options,
): Promise<Uint8Array[]> {
  const files: Uint8Array[] = [];
  for (const [i, text] of sent.entries()) {
    const name = sent.length === 1 ? field : `${field}[${i}]`;
    files.push(await readPicture(text, name, options));
  }
  return files;
}

async function readMaskUse(request: Img2ImgRequest, options: Options): Promise<MaskUse | null> {
  // Front-ends send an empty text where there is no mask.
  if (request.mask === null || request.mask === '') return null;
  const soft = readSoftInpainting(request.alwayson_scripts);
  const [image] = await readPictures([request.mask], 'mask', options);
  const latent = request.latent_mask ? [request.latent_mask] : [];
  const [latentImage] = await readPictures(latent, 'latent_mask', options);
  return {
    image: image as Uint8Array,
    latentImage: latentImage ?? null,
    inverts: (request.inpainting_mask_invert ?? 0) !== 0,
    // Soft inpainting is about what lies between.
    rounds: soft === null && (request.mask_round ?? true),
    blurX: request.mask_blur ?? request.mask_blur_x ?? DEFAULT_MASK_BLUR,
    blurY: request.mask_blur ?? request.mask_blur_y ?? DEFAULT_MASK_BLUR,
    fill: FILLS[request.inpainting_fill ?? 0] ?? 'fill',
    onlyMasked: request.inpaint_full_res ?? true,
    padding: request.inpaint_full_res_padding ?? 0,
    overlays: options.overlay_inpaint,
    returnsMask: options.return_mask,
    returnsComposite: options.return_mask_composite,
    soft,
  };
}

/** `#rgb` or `#rrggbb`; white for anything else, as the option's default is. */
function readColor(text: string): [number, number, number] {
  const short = /^#([\da-f])([\da-f])([\da-f])$/i.exec(text.trim());
  const digits = short ? short.slice(1).map((digit) => digit + digit) : [];
  const long = /^#([\da-f]{2})([\da-f]{2})([\da-f]{2})$/i.exec(text.trim());
  const [red, green, blue] = (long?.slice(1) ?? digits).map((pair) => Number.parseInt(pair, 16));
  return [red ?? 255, green ?? 255, blue ?? 255];
}
