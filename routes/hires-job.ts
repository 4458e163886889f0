/** The hires fix of a txt2img request: sizes planned, names resolved. */
import { MAX_SIDE, MIN_SIDE } from '../openapi/schemas/bounds.ts';
import { describeBadValue } from '../openapi/schemas/coercion.ts';
import type { Options } from '../openapi/schemas/options.ts';
import type { Txt2ImgRequest } from '../openapi/schemas/txt2img.ts';
import { findLatentMode, LATENT_UPSCALE_MODES } from '../pipelines/hires/latent-modes.ts';
import { type HiresPlan, planHires, type Size } from '../pipelines/hires/plan.ts';
import type { DrawJob, HiresPass } from '../pipelines/job.ts';
import { findSampler, findScheduler } from '../pipelines/samplers/catalogue.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { checkPixels } from '../server/limits.ts';
import { checkUpscale } from '../server/upscale-limits.ts';
import { findPromptLoras } from './lora-field.ts';
import { writePrompts } from './write-prompts.ts';

/** What the second pass takes over from the first. */
type FirstPass = Pick<
  DrawJob,
  'prompt' | 'negativePrompt' | 'steps' | 'sampler' | 'scheduler' | 'cfgScale'
>;

/** What front-ends send where the second pass is to be like the first. */
const SAME = new Set(['', 'Use same checkpoint', 'Use same sampler', 'Use same scheduler']);

/**
 * Plans the sizes of a request with a hires fix; null without one.
 *
 * @param size  of the request, `firstphase_*` applied
 * @throws HttpError LIMIT_EXCEEDED, INVALID_REQUEST
 */
export function planRequest(
  request: Txt2ImgRequest,
  size: Size,
  options: Options,
): HiresPlan | null {
  if (request.enable_hr !== true) return null;
  if (request.denoising_strength === null) {
    const message = describeBadValue('number 0-1 with enable_hr', 'denoising_strength', null);
    throw new HttpError('INVALID_REQUEST', message);
  }
  const plan = planHires({
    ...size,
    scale: request.hr_scale ?? 2,
    resizeX: request.hr_resize_x ?? 0,
    resizeY: request.hr_resize_y ?? 0,
    usesOldSizes: options.use_old_hires_fix_width_height,
  });
  for (const { width, height } of [plan.enlarged, plan.final]) {
    for (const side of [width, height]) {
      if (side >= MIN_SIDE && side <= MAX_SIDE) continue;
      const message = describeBadValue(`integer ${MIN_SIDE}-${MAX_SIDE}`, 'the hires size', side);
      throw new HttpError('LIMIT_EXCEEDED', message);
    }
  }
  const { enlarged } = plan;
  checkPixels(enlarged.width, enlarged.height, request.batch_size ?? 1, request.n_iter ?? 1);
  return plan;
}

/**
 * Resolves the second pass.
 *
 * @param draw  the first pass
 * @throws HttpError UPSCALER_NOT_FOUND, SAMPLER_NOT_FOUND, SCHEDULER_NOT_FOUND, MODEL_NOT_FOUND,
 *   LIMIT_EXCEEDED
 */
export async function createHires(
  context: Context,
  request: Txt2ImgRequest,
  options: Options,
  plan: HiresPlan,
  draw: FirstPass,
): Promise<HiresPass> {
  const steps = request.hr_second_pass_steps ?? 0;
  const prompts = await hiresPrompts(context, request, options, draw);
  const isResized = (request.hr_resize_x ?? 0) > 0 || (request.hr_resize_y ?? 0) > 0;
  return {
    enlarged: plan.enlarged,
    cut: plan.cut,
    upscaler: await findUpscaler(context, request.hr_upscaler, plan),
    tiles: { size: options.ESRGAN_tile, overlap: options.ESRGAN_tile_overlap },
    steps: steps > 0 ? steps : draw.steps,
    denoisingStrength: request.denoising_strength ?? 0,
    sampler: readSampler(request.hr_sampler_name) ?? draw.sampler,
    scheduler: readScheduler(request.hr_scheduler) ?? draw.scheduler,
    cfgScale: request.hr_cfg ?? draw.cfgScale,
    ...prompts,
    loras: await findPromptLoras(context, prompts.prompt, options, request),
    embeddings: await context.embeddings.findForPrompts([prompts.prompt, prompts.negativePrompt]),
    model: await findModel(context, request.hr_checkpoint_name, options),
    extraNoise: options.img2img_extra_noise,
    keepsFirst: request.save_images && options.save_images_before_highres_fix,
    asked: {
      upscaler: request.hr_upscaler,
      steps,
      size: isResized
        ? { x: request.hr_resize_x ?? 0, y: request.hr_resize_y ?? 0 }
        : (request.hr_scale ?? 2),
    },
  };
}

async function findUpscaler(
  { upscalers }: Context,
  asked: string | null,
  { first, enlarged }: HiresPlan,
): Promise<HiresPass['upscaler']> {
  const name = asked ?? LATENT_UPSCALE_MODES[0]?.name ?? '';
  if (findLatentMode(name) !== null) return { latentMode: name };
  const { kind, path, scale, name: known } = await upscalers.find(name);
  const factor = Math.max(enlarged.width / first.width, enlarged.height / first.height);
  if (kind === 'model' && factor > 1) checkUpscale(first, factor, [scale]);
  return { name: known, kind, path };
}

/** A sampler's exact name, as A1111 takes here; null for the first pass's. */
function readSampler(name: string | null): string | null {
  if (name === null || SAME.has(name)) return null;
  const entry = findSampler(name);
  if (entry === null) throw new HttpError('SAMPLER_NOT_FOUND', `bad sampler name: ${name}`);
  return entry.name;
}

function readScheduler(name: string | null): string | null {
  if (name === null || SAME.has(name)) return null;
  const entry = findScheduler(name);
  if (entry === null) throw new HttpError('SCHEDULER_NOT_FOUND', 'Scheduler not found');
  return entry.label;
}

/** The second pass's own prompts, styles applied; an empty one is the first pass's. */
async function hiresPrompts(
  context: Context,
  request: Txt2ImgRequest,
  options: Options,
  draw: FirstPass,
): Promise<{ prompt: string; negativePrompt: string }> {
  const [prompt, negative] = [request.hr_prompt ?? '', request.hr_negative_prompt ?? ''];
  // The `lora` field is of the whole request; tags are of the prompt that they stand in.
  const own = { ...request, prompt, negative_prompt: negative };
  const written = await writePrompts(context, own, options);
  return {
    prompt: prompt === '' ? draw.prompt : written.prompt,
    negativePrompt: negative === '' ? draw.negativePrompt : written.negativePrompt,
  };
}

async function findModel(
  { models }: Context,
  name: string | null,
  options: Options,
): Promise<HiresPass['model']> {
  if (name === null || SAME.has(name)) return null;
  const entry = models.findClosest(name);
  if (entry === null) {
    throw new HttpError('MODEL_NOT_FOUND', `Could not find checkpoint with name ${name}`);
  }
  const checkpoint = await models.toFile(entry);
  return { checkpoint, vae: await models.vaeFile(options.sd_vae, entry) };
}
