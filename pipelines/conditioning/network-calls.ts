/** The UNet as the samplers call it: rows of latents with the conditioning that their step asks for. */
import type { LoraPlan } from '../../lora/plan.ts';
import { planTokenMerging } from '../../networks/onnx/token-merging.ts';
import type { LoraFeeds, TensorData, Network as Unet } from '../../networks/session.ts';
import { assertFinite } from '../errors.ts';
import type { Model } from '../model/model.ts';
import { type ConditioningPlan, type CondRef, condsAtStep } from '../prompt/conditioning-plan.ts';
import { countValues } from '../sampling/latents.ts';
import { BLANK, type Network, type NetworkCall, type NetworkRow } from '../sampling/network.ts';
import { type EncodedPlan, type EncodedText, refKey } from './encode.ts';
import { noPromptEmbeddings, type PromptEmbeddings } from './prompt-embeddings.ts';

export interface NetworkCallOptions {
  plan: ConditioningPlan;
  encoded: EncodedPlan;
  /** SDXL: f32 size embeddings of the positive and the negative prompt; null for SD 1.x and 2.x. */
  sizes: { cond: Float32Array; uncond: Float32Array } | null;
  /**
   * Further input channels of inpainting and instruct models, f32 [1 or images, extra, h, w], taken
   * in turn where a batch has more pictures; null for none.
   */
  extraChannels: Float32Array | null;
  /** Pad the shorter of cond and uncond with empty prompts instead of running them apart. */
  padCondUncond: boolean;
  /** Repeat the last vector of uncond up to the length of cond, or cut it there. */
  padCondUncondV0?: boolean;
  /** Run cond and uncond in one batch. */
  batchCondUncond: boolean;
  circular: boolean;
  /** Share of the tokens that self-attention merges, 0 … 0.9; default 0, none. */
  tokenMergingRatio?: number;
  /** What changes the UNet's layers; undefined for nothing. */
  loras?: LoraPlan | undefined;
  /** Of the encoded texts; for the infotext only. */
  embeddings?: PromptEmbeddings;
}

/** Rows that fit one run of the UNet: their conditionings have one length. */
interface Run {
  /** Indices of the call's rows. */
  rows: number[];
  /** A picture whose LoRA weights are those of all rows. */
  picture: number;
  context: TensorData;
  /** SDXL's vector; null for SD 1.x and 2.x. */
  y: TensorData | null;
}

/** The network of one job, and what its conditioning says about guidance. */
export interface JobNetwork {
  call: Network;
  /** Makes the UNet ready, so that the first call does not have to. */
  load(): Promise<unknown>;
  /** Weights of the AND parts, the same for every picture of a batch. */
  weights: readonly number[];
  /** What its prompts made of embeddings. */
  embeddings: PromptEmbeddings;
}

/**
 * Returns the network of one job.
 *
 * Conditioning tensors are put together again only when a step uses other texts than the last.
 *
 * @throws (`call`) SessionError, PipelineError NON_FINITE
 */
export function createNetworkCalls(model: Model, options: NetworkCallOptions): JobNetwork {
  // The latest only: a prompt that changes at every step would keep one set per step, and a set of
  // long prompts and large batches is hundreds of megabytes.
  let latest: { key: string; runs: Run[] } | null = null;
  const weights = options.plan.positive.map(({ weight }) => weight);
  const { prefix, inChannels } = model.config.unet;
  const { loras } = options;
  const merges = loras?.merges(prefix);
  const { tokenMergingRatio = 0 } = options;
  const load = () => model.unet(options.circular, merges, tokenMergingRatio > 0);
  const fixed = loras?.varies ? undefined : loras?.feeds(prefix);
  const feedsOf = ({ step, totalSteps }: NetworkCall, { picture }: Run): LoraFeeds | undefined =>
    loras?.varies
      ? loras.feeds(prefix, loras.weightsAt({ step, steps: totalSteps, picture }))
      : fixed;
  const call: Network = async (call) => {
    const unet = await load();
    const refs = refsOf(call, options.plan);
    const key = refs.map(refKey).join();
    if (latest?.key !== key) latest = { key, runs: arrange(call.rows, refs, model, options) };
    const { runs } = latest;
    const [, channels, height, width] = call.shape;
    const size = countValues([channels, height, width]);
    // A sampler that ran away is not the UNet's fault.
    assertFinite('sampling', model.checkpoint.name, call.input);
    const whole = runs.length === 1;
    const out = whole ? null : new Float32Array(call.rows.length * size);
    for (const run of runs) {
      const lora = feedsOf(call, run);
      const result = await runUnet(
        { unet, lora, inChannels, tokenMergingRatio },
        call,
        run,
        options.extraChannels,
      );
      assertFinite('UNet', model.checkpoint.name, result);
      if (!out) return result;
      run.rows.forEach((row, i) => {
        out.set(result.subarray(i * size, (i + 1) * size), row * size);
      });
    }
    return out as Float32Array;
  };
  return { call, load, weights, embeddings: options.embeddings ?? noPromptEmbeddings };
}

function refsOf(call: NetworkCall, plan: ConditioningPlan): CondRef[] {
  const { conds, uncond } = condsAtStep(plan, call.call);
  return call.rows.map(({ part }) => (part < 0 ? uncond : (conds[part] as CondRef)));
}

function arrange(
  rows: readonly NetworkRow[],
  refs: readonly CondRef[],
  model: Model,
  options: NetworkCallOptions,
): Run[] {
  const texts = refs.map((ref) => options.encoded.texts.get(refKey(ref)) as EncodedText);
  const isUncond = rows.map(({ part }) => part < 0);
  const lengthOf = (wanted: boolean) =>
    Math.max(0, ...texts.filter((_, i) => isUncond[i] === wanted).map(({ tokens }) => tokens));
  // AND parts of unequal length are brought to the longest of them in any case.
  const own = isUncond.map(lengthOf);
  const longestCond = lengthOf(false);
  if (options.padCondUncondV0) own.fill(longestCond);
  const lengths = options.padCondUncond ? own.map(() => Math.max(...own)) : own;
  const groups = new Map<string, number[]>();
  const period = options.loras?.period ?? 1;
  const pictures = rows.map(({ image }) => image % period);
  rows.forEach((_, i) => {
    const apart = options.batchCondUncond ? '' : isUncond[i];
    const key = `${lengths[i]} ${pictures[i]} ${apart}`;
    groups.set(key, [...(groups.get(key) ?? []), i]);
  });
  const { contextDim, admChannels } = model.config.unet;
  return [...groups.values()].map((members): Run => {
    const tokens = lengths[members[0] as number] as number;
    const context = new Float32Array(members.length * tokens * contextDim);
    const y = new Float32Array(members.length * admChannels);
    members.forEach((row, i) => {
      const text = texts[row] as EncodedText;
      const target = context.subarray(i * tokens * contextDim, (i + 1) * tokens * contextDim);
      const ownEnd = (own[row] as number) * contextDim;
      target.set(text.context.subarray(0, ownEnd));
      repeat(target.subarray(0, ownEnd), text.context.length, text.context.slice(-contextDim));
      repeat(target, ownEnd, options.encoded.empty.context);
      const sizes = options.sizes?.[isUncond[row] ? 'uncond' : 'cond'];
      if (!sizes || !text.pooled) return;
      y.set(text.pooled, i * admChannels);
      y.set(sizes, i * admChannels + text.pooled.length);
    });
    return {
      rows: members,
      picture: pictures[members[0] as number] as number,
      context: { type: 'float32', data: context, shape: [members.length, tokens, contextDim] },
      y: options.sizes ? { type: 'float32', data: y, shape: [members.length, admChannels] } : null,
    };
  });
}

/** Writes `filler` again and again from `begin` to the end of `target`; both hold whole tokens. */
function repeat(target: Float32Array, begin: number, filler: Float32Array): void {
  for (let at = begin; at < target.length; at += filler.length) target.set(filler, at);
}

/** What a run is made with; `inChannels` may be more than a latent has. */
interface Means {
  unet: Unet;
  lora: LoraFeeds | undefined;
  inChannels: number;
  tokenMergingRatio: number;
}

async function runUnet(
  { unet, lora, inChannels, tokenMergingRatio }: Means,
  call: NetworkCall,
  { rows, context, y }: Run,
  extra: NetworkCallOptions['extraChannels'],
): Promise<Float32Array> {
  const [, channels, height, width] = call.shape;
  const size = countValues([channels, height, width]);
  const isWhole = rows.length === call.rows.length && !extra;
  const perRow = countValues([inChannels, height, width]);
  const perImage = perRow - size;
  const input = isWhole ? call.input : new Float32Array(rows.length * perRow);
  if (!isWhole) {
    rows.forEach((row, i) => {
      input.set(call.input.subarray(row * size, (row + 1) * size), i * perRow);
      const { image, part } = call.rows[row] as NetworkRow;
      if (!extra || part === BLANK) return;
      const at = (image * perImage) % extra.length;
      input.set(extra.subarray(at, at + perImage), i * perRow + size);
    });
  }
  const { out } = await unet.run(
    {
      sample: { type: 'float32', data: input, shape: [rows.length, inChannels, height, width] },
      timesteps: {
        type: 'float32',
        data: new Float32Array(rows.length).fill(call.timestep),
        shape: [rows.length],
      },
      context,
      ...(y && { y }),
      ...(tokenMergingRatio > 0 && planTokenMerging([height, width], tokenMergingRatio)),
    },
    ['out'],
    lora,
  );
  return out?.data as Float32Array;
}
