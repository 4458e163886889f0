/** Turns a txt2img request into a job: every name resolved, every number checked, seeds drawn. */
import { randomInt } from 'node:crypto';
import { MAX_SIDE, MIN_SIDE } from '../openapi/schemas/bounds.ts';
import { describeBadValue } from '../openapi/schemas/coercion.ts';
import type { CommonRequest } from '../openapi/schemas/generation.ts';
import type { Options } from '../openapi/schemas/options.ts';
import type { Txt2ImgRequest } from '../openapi/schemas/txt2img.ts';
import type {
  DrawJob,
  GenerationJob,
  ModelFile,
  RefinerSwitch,
  Txt2ImgJob,
} from '../pipelines/job.ts';
import {
  findScheduler,
  type ResolvedSampler,
  resolveSampler,
} from '../pipelines/samplers/catalogue.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';
import { checkPixels } from '../server/limits.ts';
import { describeMissing } from './health.ts';
import { createHires, planRequest } from './hires-job.ts';
import { toJobOptions, toOutputFormat } from './job-options.ts';
import { findPromptLoras } from './lora-field.ts';
import { checkSupported, describeUnreadOptions } from './unsupported.ts';
import { writePrompts } from './write-prompts.ts';

/** A1111 draws below this, so that a few seeds after it still fit 32 bits. */
const RANDOM_SEEDS = 4_294_967_294;

/** A job with what the answer needs besides its result. */
export interface PreparedJob<T extends GenerationJob = GenerationJob> {
  job: T;
  /** The options of this job, overrides applied. */
  options: Options;
  /** What `override_settings` changed. */
  overrides: Partial<Options>;
}

/** Everything about a job but its kind and its strength. */
export type PreparedDraw = Omit<DrawJob, 'kind' | 'denoisingStrength'>;

/**
 * Prepares a txt2img job.
 *
 * @throws as `prepareDraw`
 */
export async function createTxt2ImgJob(
  context: Context,
  request: Txt2ImgRequest,
): Promise<PreparedJob<Txt2ImgJob>> {
  const asked = readSize(request);
  const { options: before } = context.options.override(request.override_settings ?? {});
  const plan = planRequest(request, asked, before);
  const prepared = await prepareDraw(context, request, plan?.first ?? asked);
  const { job, options } = prepared;
  const hires = plan && (await createHires(context, request, options, plan, job));
  const denoisingStrength = request.denoising_strength;
  return { ...prepared, job: { kind: 'txt2img', ...job, denoisingStrength, hires } };
}

/**
 * Prepares what txt2img and img2img have in common.
 *
 * @throws HttpError: SAMPLER_NOT_FOUND, SCHEDULER_NOT_FOUND, MODEL_NOT_FOUND, LIMIT_EXCEEDED,
 *   UNSUPPORTED_FEATURE, SCRIPT_NOT_FOUND, BAD_REQUEST, LORA_NOT_FOUND
 */
export async function prepareDraw(
  context: Context,
  request: CommonRequest,
  { width, height }: { width: number; height: number },
): Promise<{ job: PreparedDraw; options: Options; overrides: Partial<Options> }> {
  const comments = checkSupported(request);
  const { options, changes, rejected } = context.options.override(request.override_settings ?? {});
  for (const { fault } of rejected) comments.push(`override_settings: ${fault.msg}`);
  comments.push(...describeUnreadOptions(options));
  const batchSize = request.batch_size ?? 1;
  const nIter = request.n_iter ?? 1;
  checkPixels(width, height, batchSize, nIter);
  const { sampler, scheduler } = readSampler(request);
  const prompts = await writePrompts(context, request, options);
  const models = await findModels(context, options, changes, comments);
  const pictures = batchSize * nIter;
  const job: PreparedDraw = {
    ...models,
    ...prompts,
    loras: await findPromptLoras(context, prompts.prompt, options, request),
    embeddings: await context.embeddings.findForPrompts([prompts.prompt, prompts.negativePrompt]),
    appliesNetworks: !request.disable_extra_networks,
    styles: request.styles ?? [],
    seed: drawSeed(request.seed),
    subseed: drawSeed(request.subseed),
    subseedStrength: request.subseed_strength ?? 0,
    seedResizeFromW: Math.max(request.seed_resize_from_w ?? 0, 0),
    seedResizeFromH: Math.max(request.seed_resize_from_h ?? 0, 0),
    refiner: await findRefiner(context, request, options),
    sampler,
    scheduler,
    steps: request.steps ?? 50,
    cfgScale: request.cfg_scale ?? 7,
    width,
    height,
    batchSize,
    nIter,
    eta: request.eta,
    tiling: request.tiling ?? options.tiling,
    restoreFaces: request.restore_faces ?? options.face_restoration,
    grid:
      request.save_images &&
      options.return_grid &&
      (pictures > 1 || !options.grid_only_if_multiple),
    output: toOutputFormat(options),
    options: toJobOptions(options, request),
    comments,
  };
  return { job, options, overrides: changes };
}

/** `firstphase_*` of A1111's first years replaces both sides when one of them is set. */
function readSize(request: Txt2ImgRequest): { width: number; height: number } {
  const first = {
    firstphase_width: request.firstphase_width ?? 0,
    firstphase_height: request.firstphase_height ?? 0,
  };
  if (first.firstphase_width === 0 && first.firstphase_height === 0) {
    return { width: request.width ?? 512, height: request.height ?? 512 };
  }
  for (const [field, side] of Object.entries(first)) {
    if (side < MIN_SIDE) {
      const message = describeBadValue(`integer ${MIN_SIDE}-${MAX_SIDE}`, field, side);
      throw new HttpError('LIMIT_EXCEEDED', message);
    }
  }
  return { width: first.firstphase_width, height: first.firstphase_height };
}

function readSampler({ sampler_name, sampler_index, scheduler }: CommonRequest): ResolvedSampler {
  const name = sampler_name || sampler_index || 'Euler';
  const resolved = resolveSampler(name, scheduler);
  if (resolved === null) throw new HttpError('SAMPLER_NOT_FOUND', 'Sampler not found');
  if (scheduler && findScheduler(scheduler) === null) {
    throw new HttpError('SCHEDULER_NOT_FOUND', 'Scheduler not found');
  }
  return resolved;
}

/** The files of a job; an unknown checkpoint or VAE in `override_settings` is dropped, as in A1111. */
async function findModels(
  context: Context,
  options: Options,
  overrides: Partial<Options>,
  comments: string[],
): Promise<{ checkpoint: ModelFile; vae: ModelFile | null }> {
  const { models } = context;
  const asked = overrides.sd_model_checkpoint;
  const overridden = typeof asked === 'string' ? models.find(asked) : null;
  if (typeof asked === 'string' && asked !== '' && overridden === null) {
    comments.push(`override_settings: checkpoint ${JSON.stringify(asked)} was not found.`);
    delete overrides.sd_model_checkpoint;
  }
  const entry = overridden ?? models.current(context.options.all().sd_model_checkpoint);
  if (entry === null) throw new HttpError('MODEL_NOT_FOUND', describeMissing(context));
  if (!models.knowsVae(options.sd_vae)) {
    comments.push(`sd_vae: ${JSON.stringify(options.sd_vae)} was not found.`);
    delete overrides.sd_vae;
  }
  return {
    checkpoint: await models.toFile(entry),
    vae: await models.vaeFile(options.sd_vae, entry),
  };
}

/** The checkpoint that takes over; without a share of its own from the first step, as in A1111. */
async function findRefiner(
  { models }: Context,
  { refiner_checkpoint: asked, refiner_switch_at: share }: CommonRequest,
  options: Options,
): Promise<RefinerSwitch | null> {
  if (!asked || asked.toLowerCase() === 'none') return null;
  const entry = models.find(asked);
  if (entry === null) {
    throw new HttpError('MODEL_NOT_FOUND', `Could not find checkpoint with name ${asked}`);
  }
  return {
    checkpoint: await models.toFile(entry),
    switchAt: share ?? 0,
    bySteps: options.refiner_switch_by_sample_steps,
    pass: options.hires_fix_refiner_pass,
  };
}

function drawSeed(seed: number | null): number {
  return seed === null || seed < 0 ? randomInt(RANDOM_SEEDS) : seed;
}
