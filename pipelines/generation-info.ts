/** What is told about finished pictures: the infotext of each, and the web UI's `info` object. */
import {
  buildInfotext,
  type GenerationRecord,
  generationFields,
  type InfotextField,
} from '../images/infotext.ts';
import { describeLoraHashes } from '../lora/infotext.ts';
import type { AppliedLora } from '../lora/plan.ts';
import type { PromptEmbeddings } from './conditioning/prompt-embeddings.ts';
import { describeHyperTile, describeSecondPassTiles } from './hyper-tile/describe.ts';
import type { DrawJob } from './job.ts';
import type { Model } from './model/model.ts';
import { findSampler, findScheduler } from './samplers/catalogue.ts';
import { refinerFields, samplingFields } from './sampling-fields.ts';

/** Printed as `Version` in every infotext; no web UI version, so none of its workarounds for its own old versions apply. */
export const VERSION = 'sdserve 0.1.0';

/** Seeds of one picture. */
export interface PictureSeeds {
  seed: number;
  subseed: number;
}

/** Returns seed and subseed of every picture of the job, iteration by iteration. */
export function seedsOf(job: DrawJob): PictureSeeds[] {
  return Array.from({ length: job.batchSize * job.nIter }, (_, i) => ({
    // A variation moves away from one seed: then only the subseeds count up.
    seed: job.subseedStrength === 0 ? job.seed + i : job.seed,
    subseed: job.subseed + i,
  }));
}

/** The label that the infotext prints: what Automatic came to where the sampler has a default. */
export function scheduleLabel(job: Pick<DrawJob, 'sampler' | 'scheduler'>): string {
  const own = findSampler(job.sampler)?.options.scheduler;
  const chosen = job.scheduler === 'Automatic' && own ? own : job.scheduler;
  return findScheduler(chosen)?.label ?? chosen;
}

/** Pairs for what differs from the defaults, in the web UI's order and words. */
function extraFields(job: DrawJob, { loras, details }: PictureFacts): InfotextField[] {
  const { options } = job;
  const fields = [
    ...describeHyperTile(options.hyperTile),
    ...(details?.extra ?? []),
    ...samplingFields(job),
    ...refinerFields(job),
    ...(details?.hasSecondPass ? describeSecondPassTiles(options.hyperTile) : []),
  ];
  if (options.emphasis !== 'Original' && /[([]/.test(job.prompt + job.negativePrompt))
    fields.push(['Emphasis', options.emphasis]);
  const hashes = describeLoraHashes(loras);
  if (options.addLoraHashes && hashes !== null) fields.push(['Lora hashes', hashes]);
  return fields;
}

/** `TI hashes`, each name without the characters that would end it. */
function embeddingFields(job: DrawJob, { used }: Pick<PromptEmbeddings, 'used'>): InfotextField[] {
  const hashes = used.filter(({ hash }) => hash !== null);
  if (!job.options.addEmbeddingHashes || hashes.length === 0) return [];
  const items = hashes.map(({ name, hash }) => `${name.replace(/[:,]/g, '')}: ${hash}`);
  return [['TI hashes', items.join(', ')]];
}

/** What a kind of job adds to the infotext. */
export interface InfotextDetails
  extends Pick<
    GenerationRecord,
    | 'denoisingStrength'
    | 'imageCfgScale'
    | 'conditionalMaskWeight'
    | 'initImageHash'
    | 'tokenMergingRatioHr'
  > {
  /** Pairs that come before those of the sampler. */
  extra?: readonly InfotextField[];
  /** Whether a hires fix draws a second pass. */
  hasSecondPass?: boolean;
}

/** The facts of a run that every picture's infotext tells. */
type PictureFacts = Pick<RunFacts, 'loras' | 'details' | 'embeddings'>;

/** Returns the infotext of one picture. */
export function describePicture(job: DrawJob, seeds: PictureSeeds, facts: PictureFacts): string {
  // The job's names, not the loaded model's: a hash may become known between two jobs.
  const { options, vae, checkpoint } = job;
  const usesEnsd = findSampler(job.sampler)?.options.uses_ensd !== undefined;
  return buildInfotext({
    prompt: job.prompt,
    negativePrompt: job.negativePrompt,
    fields: generationFields({
      steps: job.steps,
      sampler: job.sampler,
      scheduleType: scheduleLabel(job),
      cfgScale: job.cfgScale,
      seed: seeds.seed,
      width: job.width,
      height: job.height,
      modelHash: options.addModelHash ? checkpoint.hash : null,
      model: options.addModelName ? checkpoint.name : null,
      vaeHash: options.addVaeHash ? vae?.hash : null,
      vae: options.addVaeName ? vae?.name : null,
      variationSeed: seeds.subseed,
      variationSeedStrength: job.subseedStrength,
      seedResizeFromW: job.seedResizeFromW,
      seedResizeFromH: job.seedResizeFromH,
      ...facts.details,
      clipSkip: options.clipSkip,
      ensd: usesEnsd && (job.eta ?? options.etaAncestral) !== 0 ? options.etaNoiseSeedDelta : 0,
      tokenMergingRatio: options.tokenMergingRatio,
      rng: options.noiseName,
      tiling: job.tiling,
      extra: [...extraFields(job, facts), ...embeddingFields(job, facts.embeddings)],
      version: options.addVersion ? VERSION : null,
    }),
  });
}

/** What a run adds to the job. */
export interface RunFacts {
  seeds: readonly PictureSeeds[];
  /** One per picture in the answer, a grid's first. */
  infotexts: readonly string[];
  indexOfFirstImage: number;
  stepsExecuted: number;
  /** Runs of the UNet's conditional and unconditional part together, counted where they happen. */
  modelCalls: number;
  comments: readonly string[];
  loras: readonly AppliedLora[];
  /** Its messages join the comments. */
  embeddings: Pick<PromptEmbeddings, 'used' | 'messages'>;
  details?: InfotextDetails;
}

/** Returns the members of A1111's `info`, in its order, then `steps_executed`, `model_calls`, `comments`, `loras`, `embeddings`. */
export function describeJob(job: DrawJob, model: Model, facts: RunFacts): Record<string, unknown> {
  const { seeds } = facts;
  return {
    prompt: job.prompt,
    all_prompts: seeds.map(() => job.prompt),
    negative_prompt: job.negativePrompt,
    all_negative_prompts: seeds.map(() => job.negativePrompt),
    seed: job.seed,
    all_seeds: seeds.map(({ seed }) => seed),
    subseed: job.subseed,
    all_subseeds: seeds.map(({ subseed }) => subseed),
    subseed_strength: job.subseedStrength,
    width: job.width,
    height: job.height,
    sampler_name: job.sampler,
    cfg_scale: job.cfgScale,
    steps: job.steps,
    batch_size: job.batchSize,
    restore_faces: job.restoreFaces,
    face_restoration_model: null,
    sd_model_name: job.checkpoint.name,
    sd_model_hash: job.checkpoint.hash,
    sd_vae_name: job.vae?.name ?? null,
    sd_vae_hash: job.vae?.hash ?? null,
    seed_resize_from_w: job.seedResizeFromW || -1,
    seed_resize_from_h: job.seedResizeFromH || -1,
    denoising_strength: job.denoisingStrength,
    extra_generation_params: Object.fromEntries([
      ['Schedule type', scheduleLabel(job)],
      ...extraFields(job, facts),
      ...embeddingFields(job, facts.embeddings),
    ]),
    index_of_first_image: facts.indexOfFirstImage,
    infotexts: facts.infotexts,
    styles: job.styles,
    job_timestamp: timestamp(new Date()),
    clip_skip: job.options.clipSkip,
    is_using_inpainting_conditioning: model.config.variant === 'inpaint',
    version: VERSION,
    steps_executed: facts.stepsExecuted,
    model_calls: facts.modelCalls,
    comments: [...facts.comments, ...facts.embeddings.messages],
    loras: facts.loras.map(({ name, hash, teWeight, unetWeight, written }) => ({
      name,
      te_weight: teWeight,
      unet_weight: unetWeight,
      hash,
      // Weights of the first step, picture and pass stand above.
      ...(written !== undefined && { written }),
    })),
    embeddings: facts.embeddings.used,
  };
}

/** `YYYYMMDDHHMMSS` in local time. */
function timestamp(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return (
    `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}` +
    `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`
  );
}
