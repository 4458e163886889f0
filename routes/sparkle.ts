/** `POST /sdapi/v1/sparkle`: an img2img request with everything decided that people decide by hand. */
import { Router } from 'express';
import { decodeBase64Image } from '../images/base64.ts';
import { encodeRaster } from '../images/encode.ts';
import { maskHighlights } from '../images/highlight-mask.ts';
import { parseInfotext } from '../images/infotext-parse.ts';
import { spreadMask } from '../images/mask.ts';
import { readInfotext } from '../images/read-infotext.ts';
import { readImageSize } from '../images/read-size.ts';
import { parseRequest } from '../openapi/parse.ts';
import { Img2ImgRequest } from '../openapi/schemas/img2img.ts';
import { SparkleRequest } from '../openapi/schemas/sparkle.ts';
import { resolveSampler } from '../pipelines/samplers/catalogue.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { answerGeneration } from './generation-answer.ts';
import { createImg2ImgJob } from './img2img-job.ts';
import { answerJobs, type JobKind } from './job-kind.ts';
import { saveResult } from './save-images.ts';
import { decideNumbers, decideSize } from './sparkle-plan.ts';

/** Name of the LoRA that the pass is made for, and beginning of its published names. */
const LORA = 'spo';
/** Adds noise at each step, which the pass turns into detail. */
const SAMPLER = 'Euler a';
/** A mask is only compared and blended, never looked at: any lossless file will do. */
const MASK_FORMAT = { format: 'png', quality: 100 } as const;

export const SPARKLE: JobKind = {
  name: 'sparkle',
  async prepare(context, body) {
    const request = parseRequest(SparkleRequest, body, 'body');
    const { fields, decisions } = await decide(context, request);
    const init_images = [request.image];
    const img2img = parseRequest(Img2ImgRequest, { ...fields, init_images }, 'body');
    const prepared = await createImg2ImgJob(context, img2img);
    const { seed, subseed } = prepared.job;
    const parameters = { ...fields, seed, subseed };
    return {
      forcedId: request.force_task_id,
      outlivesClient: request.save_images,
      run: (taskId, signal) => context.engine.run(prepared.job, taskId, signal),
      answer: async (result) => ({
        ...(await answerGeneration(context, img2img, result, {
          parameters,
          overrides: prepared.overrides,
          save: () => saveResult(context, prepared, result),
        })),
        decisions,
      }),
    };
  },
};

/** Makes the router of the sparkle pass. */
export function sparkleRoutes(context: Context): Router {
  const router = Router();
  router.post('/sdapi/v1/sparkle', answerJobs(context, SPARKLE));
  return router;
}

/** The fields of the img2img request that the pass comes to, and what is told about them. */
async function decide(context: Context, request: SparkleRequest) {
  const bytes = decodeBase64Image(request.image, 'image');
  const size = decideSize(request, await readImageSize(bytes));
  const sampler = resolveSampler(request.sampler_name || SAMPLER, request.scheduler);
  if (sampler === null) throw new HttpError('SAMPLER_NOT_FOUND', 'Sampler not found');
  const { override_settings } = request;
  const asked = override_settings?.sd_model_checkpoint ?? context.options.all().sd_model_checkpoint;
  const checkpoint = context.models.current(typeof asked === 'string' ? asked : null);
  const numbers = decideNumbers(request, sampler, checkpoint?.baseName ?? '');
  const lora = findLora(context, request.lora);
  const text = await decidePrompts(request, bytes, lora);
  const mask = await decideMask(request, bytes);
  const fields = {
    prompt: `${text.prompt}<lora:${lora}:${numbers.weight}>`,
    negative_prompt: text.negativePrompt,
    seed: request.seed,
    sampler_name: sampler.sampler,
    scheduler: sampler.scheduler,
    batch_size: request.batch_size,
    steps: numbers.steps,
    cfg_scale: request.cfg_scale,
    ...size,
    denoising_strength: numbers.denoisingStrength,
    override_settings: { ...override_settings, img2img_fix_steps: false },
    ...(mask.picture === null
      ? {}
      : {
          mask: mask.picture,
          mask_blur: request.mask_blur ?? 4,
          mask_round: false,
          inpainting_fill: 1,
          inpaint_full_res: false,
        }),
    send_images: request.send_images,
    save_images: request.save_images,
  };
  const decisions = {
    lora,
    weight: numbers.weight,
    denoising_strength: numbers.denoisingStrength,
    steps: numbers.steps,
    steps_executed: numbers.stepsExecuted,
    prompt_from: text.from,
    mask: mask.from,
    ...size,
  };
  return { fields, decisions };
}

/** The LoRA of the pass by its name in tags. */
function findLora({ loras }: Context, asked: string | null): string {
  const names = loras.entries.filter(({ fault }) => fault === null).map(({ loraName }) => loraName);
  const isAsked = (name: string) => name.toLowerCase() === (asked || LORA).toLowerCase();
  const beginsSo = (name: string) => !asked && /^spo(?![a-z])/i.test(name);
  const found = names.find(isAsked) ?? names.find(beginsSo);
  if (found !== undefined) return found;
  throw new HttpError(
    'LORA_NOT_FOUND',
    `LoRA ${asked || LORA} not found: put it into the folder of LoRAs, or name another in lora.`,
  );
}

/** The prompts of the request, or those that the picture carries, without a tag of the same LoRA. */
async function decidePrompts(request: SparkleRequest, bytes: Buffer, lora: string) {
  const own = parseInfotext((await readInfotext(bytes)).infotext);
  const name = lora.replace(/[^\w\s]/g, String.raw`\$&`);
  const tag = new RegExp(`<(?:lora|lyco):${name}(?::[^<>]*)?>`, 'gi');
  const from = request.prompt !== null ? 'request' : own.prompt === '' ? 'nothing' : 'picture';
  return {
    prompt: (request.prompt ?? own.prompt).replace(tag, '').trimEnd(),
    negativePrompt: request.negative_prompt ?? own.negativePrompt,
    from,
  };
}

async function decideMask(request: SparkleRequest, bytes: Buffer) {
  if (request.mask !== null && request.mask !== '')
    return { picture: request.mask, from: 'request' };
  if (request.auto_mask !== true) return { picture: null, from: 'none' };
  const mask = await encodeRaster(spreadMask(await maskHighlights(bytes)), MASK_FORMAT);
  return { picture: mask.toString('base64'), from: 'highlights' };
}
