/** From a job's texts to the UNet as a sampler calls it. */
import type { LoraPlan } from '../lora/plan.ts';
import { extractNetworkTags } from '../lora/syntax.ts';
import { type LoraPass, readLoraTags } from '../lora/tags.ts';
import { encodePlan } from './conditioning/encode.ts';
import { createNetworkCalls, type JobNetwork } from './conditioning/network-calls.ts';
import {
  candidatesIn,
  candidatesOf,
  type EmbeddingCandidate,
  preparePromptEmbeddings,
} from './conditioning/prompt-embeddings.ts';
import { embedSizes } from './conditioning/size-embedding.ts';
import { CELL_PIXELS } from './decode.ts';
import type { HyperTile } from './hyper-tile/hyper-tile.ts';
import type { DrawJob, HiresPass } from './job.ts';
import { concatConditioning } from './model/concat-conditioning.ts';
import type { Model } from './model/model.ts';
import { planModelLoras } from './model/plan-loras.ts';
import { planConditioning } from './prompt/conditioning-plan.ts';
import { switchNetworks } from './refiner.ts';
import type { LatentShape } from './sampling/latents.ts';
import { planSteps } from './sampling/plan.ts';

/** What a pass says that decides its network; a second pass hands a copy of its job with its own. */
export type NetworkJob = Pick<
  DrawJob,
  | 'prompt'
  | 'negativePrompt'
  | 'loras'
  | 'embeddings'
  | 'appliesNetworks'
  | 'vae'
  | 'refiner'
  | 'sampler'
  | 'scheduler'
  | 'steps'
  | 'width'
  | 'height'
  | 'tiling'
  | 'options'
> & {
  /** Model calls of the first pass, when this is the second: its schedules go on from there. */
  firstPassCalls?: number;
  /** Its second pass; absent or null for jobs of one pass. */
  hires?: HiresPass | null;
  /** Draws the tiles that attention runs in, of all its passes; absent or null for none. */
  hyperTile?: HyperTile | null;
};

/**
 * Takes the tags out of the prompt and reads the files that they name.
 *
 * @param pass  for which a tag may have a weight of its own (`hr=`)
 */
export async function prepareLoras(
  job: NetworkJob,
  model: Model,
  pass: LoraPass = 'first',
): Promise<{ prompt: string; loras: LoraPlan; messages: string[] }> {
  const { text: prompt, tags } = extractNetworkTags(job.prompt);
  const { requests, messages } = readLoraTags(job.appliesNetworks ? tags : [], pass);
  const refs = new Map(job.loras.map((ref) => [ref.name, ref]));
  const find = (name: string) => refs.get(name) ?? null;
  const loras = await planModelLoras(requests, find, model);
  return { prompt, loras, messages: [...messages, ...loras.messages] };
}

/**
 * Encodes the prompts and returns the UNet as the sampler will call it.
 *
 * @param prompt  without tags; see `prepareLoras`
 * @param loras   factors of the networks' layers; undefined for none
 * @param extraChannels  what inpainting and instruct checkpoints see beside the latent, f32
 *   [inChannels - 4, h, w]; undefined for what they see when there is no picture
 * @returns with a refiner, the network that changes to it on the way
 */
export async function prepareNetwork(
  job: NetworkJob,
  prompt: string,
  model: Model,
  loras?: LoraPlan,
  extraChannels?: Float32Array | null,
): Promise<JobNetwork> {
  const network = await prepareOne(job, prompt, model, loras, extraChannels);
  const { refiner, sampler, options } = job;
  if (refiner === null || refiner.checkpoint.path === model.checkpoint.path) return network;
  const pass = job.firstPassCalls === undefined ? 'first pass' : 'second pass';
  if (job.hires && refiner.pass !== pass && refiner.pass !== 'both passes') return network;
  const base = { network, prediction: await model.prediction() };
  const rule = { ...refiner, sampler, modelSigmas: model.sigmasFor(options) };
  return switchNetworks(base, rule, async () => {
    const other = await model.openRefiner(refiner.checkpoint, job.vae);
    // Its tags that fit another base model are told for the first checkpoint.
    const own = await prepareLoras(job, other);
    // The web UI's tiles belong to a network, which a refiner of another kind does not take over.
    const isAlike = other.config.family === model.config.family;
    const refined = isAlike ? job : { ...job, hyperTile: null };
    return {
      network: await prepareOne(refined, prompt, other, own.loras),
      prediction: await other.prediction(),
    };
  });
}

async function prepareOne(
  job: NetworkJob,
  prompt: string,
  model: Model,
  loras?: LoraPlan,
  extraChannels?: Float32Array | null,
): Promise<JobNetwork> {
  const { options } = job;
  const { totalCalls } = planSteps({
    sampler: job.sampler,
    scheduler: job.scheduler,
    steps: job.steps,
    alwaysDiscardNextToLastSigma: options.alwaysDiscardNextToLastSigma,
  });
  const plan = planConditioning({
    prompt,
    negativePrompt: job.negativePrompt,
    steps: totalCalls,
    ...(job.firstPassCalls !== undefined && { firstPassSteps: job.firstPassCalls }),
    useOldScheduling: options.useOldScheduling,
  });
  const candidates = await listEmbeddings(job, model, loras);
  const { textEncoders } = model.config;
  const embeddings = await preparePromptEmbeddings(candidates, plan.texts, textEncoders, options);
  return createNetworkCalls(model, {
    plan,
    encoded: await encodePlan(model, plan, options, loras, embeddings),
    embeddings,
    sizes: describeSizes(job, model),
    extraChannels:
      extraChannels ?? (await concatConditioning(model, latentShape(job, model, 1), job.tiling)),
    padCondUncond: options.padCondUncond,
    padCondUncondV0: options.padCondUncondV0,
    batchCondUncond: options.batchCondUncond,
    circular: job.tiling,
    ...shortenedAttention(job),
    loras,
  });
}

/**
 * How its self-attention sees fewer tokens. What one pass of a job needs the network of the other has
 * too, so that none is made anew in between.
 */
function shortenedAttention({ options, firstPassCalls, hires, hyperTile }: NetworkJob) {
  const { tokenMergingRatio: first, tokenMergingRatioHr: second } = options;
  const hasSecond = hires !== undefined && hires !== null;
  return {
    tokenMergingRatio: firstPassCalls === undefined ? first : second,
    mergesTokens: first > 0 || (hasSecond && second > 0),
    hyperTile: hyperTile?.tilesUnet(hasSecond) ? hyperTile : null,
  };
}

/** The embeddings that the job brings along, then those that its LoRAs carry. */
async function listEmbeddings(
  job: NetworkJob,
  model: Model,
  loras?: LoraPlan,
): Promise<EmbeddingCandidate[]> {
  const paths = new Map(job.loras.map(({ name, path }) => [name, path]));
  const bundled: EmbeddingCandidate[] = [];
  for (const { name } of loras?.applied ?? []) {
    const { lora } = await model.loras.open(paths.get(name) as string);
    bundled.push(...candidatesIn(lora, job.options.addBundledEmbeddings ? name : null));
  }
  return [...candidatesOf(job.embeddings), ...bundled];
}

/** Returns the sizes of a batch of latents for the pixels of a job. */
export function latentShape(
  { width, height }: Pick<DrawJob, 'width' | 'height'>,
  model: Model,
  batch: number,
): LatentShape {
  const cells = (side: number) => Math.floor(side / CELL_PIXELS);
  return [batch, model.vae.zChannels, cells(height), cells(width)];
}

/** SDXL: original size, crop, and target size or (refiner) aesthetic score. */
function describeSizes(job: NetworkJob, model: Model) {
  const { sizeEmbedding, family } = model.config;
  if (!sizeEmbedding) return null;
  const { options } = job;
  const first = [job.height, job.width, options.sdxlCropTop, options.sdxlCropLeft];
  const isRefiner = family === 'sdxl-refiner';
  const cond = isRefiner ? [options.sdxlRefinerHighAestheticScore] : [job.height, job.width];
  const uncond = isRefiner ? [options.sdxlRefinerLowAestheticScore] : [job.height, job.width];
  return {
    cond: embedSizes([...first, ...cond], sizeEmbedding.width),
    uncond: embedSizes([...first, ...uncond], sizeEmbedding.width),
  };
}
