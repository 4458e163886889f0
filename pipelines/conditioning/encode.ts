/** Text to conditioning: every text of a plan through the checkpoint's text encoders, once. */
import { setImmediate } from 'node:timers/promises';
import type { TextEncoderConfig } from '../../networks/checkpoint/config.ts';
import type { LoraFeeds, Network, TensorData } from '../../networks/session.ts';
import { assertFinite } from '../errors.ts';
import type { JobOptions } from '../job.ts';
import type { Model } from '../model/model.ts';
import {
  type ChunkOptions,
  chunkPrompt,
  emptyChunk,
  type PromptChunk,
  padForOpenClip,
} from '../prompt/chunks.ts';
import type { ConditioningPlan, CondRef } from '../prompt/conditioning-plan.ts';
import { applyEmphasis } from '../prompt/emphasis.ts';
import { noPromptEmbeddings, type PromptEmbeddings } from './prompt-embeddings.ts';

/**
 * Chunks of one run of a text encoder: about 10 MB of activations each in the widest one, and an
 * honest request has 3 to 10. Prompt editing can ask for thousands.
 */
const MAX_CHUNKS_PER_RUN = 16;

/** One encoded text. */
export interface EncodedText {
  /** f32 [tokens, contextDim]. */
  context: Float32Array;
  /** 77 per chunk. */
  tokens: number;
  /** SDXL: f32 [pooledWidth], of the first chunk; null for SD 1.x and 2.x. */
  pooled: Float32Array | null;
}

/** Which options reach the text encoders. */
export type EncodeOptions = Pick<
  JobOptions,
  'clipSkip' | 'sdxlClipLSkip' | 'emphasis' | 'commaPaddingBacktrack'
>;

/** A text of one group, cut and padded with empty chunks to the longest of its group. */
interface Member {
  ref: CondRef;
  chunks: PromptChunk[];
  count: number;
}

/** The key that `EncodedPlan` keeps a text under. */
export function refKey({ group, text }: CondRef): string {
  return `${group} ${text}`;
}

/** Encoded texts by `refKey`, and the empty prompt, which pads shorter ones. */
export interface EncodedPlan {
  texts: Map<string, EncodedText>;
  empty: EncodedText;
}

/**
 * Encodes a plan's texts; equal chunks of tokens are encoded once.
 *
 * @param lora        factors for the encoder with a prefix
 * @param embeddings  of all texts of the plan
 * @returns encodings of every (group, text) pair; an uncond whose texts are all empty is zeros on
 *   SDXL, as the web UI does
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function encodePlan(
  model: Model,
  plan: ConditioningPlan,
  options: EncodeOptions,
  lora: (prefix: string) => LoraFeeds | undefined = () => undefined,
  embeddings: PromptEmbeddings = noPromptEmbeddings,
): Promise<EncodedPlan> {
  const cutting = { ...options, embeddings: embeddings.lookup };
  const groups = plan.groups.map((group, g) =>
    cutGroup(plan, g, group.texts, group.counts, cutting),
  );
  const padding: Member = { ref: { group: -1, text: -1 }, chunks: [emptyChunk()], count: 1 };
  groups.push([padding]);
  const texts = new Map<string, EncodedText>();
  const width = model.config.unet.contextDim;
  let column = 0;
  for (const config of model.config.textEncoders) {
    const network = await model.textEncoder(config);
    const feeds = lora(config.prefix);
    const feed = (chunks: readonly PromptChunk[]) => feedTokens(chunks, config, embeddings);
    const outputs = await runEncoder(network, config, model, groups.flat(), options, feed, feeds);
    for (const group of groups)
      collectGroup(texts, group, outputs, config, options, { column, width });
    column += config.width;
  }
  const empty = texts.get(refKey(padding.ref)) as EncodedText;
  if (plan.isZeroUncond && model.config.sizeEmbedding) {
    const { group, schedule } = plan.negative;
    for (const { text } of schedule) zero(texts.get(refKey({ group, text })) as EncodedText);
  }
  return { texts, empty };
}

function cutGroup(
  plan: ConditioningPlan,
  group: number,
  texts: readonly number[],
  counts: readonly number[],
  options: ChunkOptions,
): Member[] {
  const members = texts.map((text, i): Member => {
    const { chunks } = chunkPrompt(plan.texts[text] as string, options);
    return { ref: { group, text }, chunks, count: counts[i] as number };
  });
  const longest = Math.max(...members.map(({ chunks }) => chunks.length));
  for (const { chunks } of members) while (chunks.length < longest) chunks.push(emptyChunk());
  return members;
}

/** What one encoder made of all chunks of all members, in their order. */
interface EncoderOutputs {
  /** f32 [distinct chunks * 77, width]. */
  hidden: Float32Array;
  /** f32 [distinct chunks, projectionDim]; null where the model has no use for it. */
  pooled: Float32Array | null;
  /** Position of each chunk in `hidden`. */
  row: Map<PromptChunk, number>;
}

async function runEncoder(
  network: Network,
  config: TextEncoderConfig,
  model: Model,
  members: readonly Member[],
  options: EncodeOptions,
  feed: (chunks: readonly PromptChunk[]) => Record<string, TensorData>,
  lora: LoraFeeds | undefined,
): Promise<EncoderOutputs> {
  const { distinct, row } = findDistinct(members.flatMap((member) => member.chunks));
  const hiddenName = hiddenOutput(config, model, options);
  const isPooled = config.role === 'G';
  const hidden = new Float32Array(distinct.length * config.tokens * config.width);
  const pooled = isPooled ? new Float32Array(distinct.length * config.projectionDim) : null;
  for (let from = 0; from < distinct.length; from += MAX_CHUNKS_PER_RUN) {
    const outputs = await network.run(
      feed(distinct.slice(from, from + MAX_CHUNKS_PER_RUN)),
      isPooled ? [hiddenName, 'pooled'] : [hiddenName],
      lora,
    );
    hidden.set(outputs[hiddenName]?.data as Float32Array, from * config.tokens * config.width);
    pooled?.set(outputs.pooled?.data as Float32Array, from * config.projectionDim);
    // A run blocks everything else; interrupt and questions about memory wait for this.
    await setImmediate();
  }
  const stage = `text encoder CLIP-${config.role}`;
  assertFinite(stage, model.checkpoint.name, hidden);
  if (pooled) assertFinite(stage, model.checkpoint.name, pooled);
  return { hidden, pooled, row };
}

/** Chunks of the same tokens, whatever their weights, in the order of first use. */
function findDistinct(chunks: readonly PromptChunk[]) {
  const row = new Map<PromptChunk, number>();
  const known = new Map<string, number>();
  const distinct: PromptChunk[] = [];
  for (const chunk of chunks) {
    const key = `${chunk.tokens.join()} ${JSON.stringify(chunk.fixes)}`;
    const at = known.get(key) ?? distinct.push(chunk) - 1;
    known.set(key, at);
    row.set(chunk, at);
  }
  return { distinct, row };
}

function feedTokens(
  chunks: readonly PromptChunk[],
  { kind, tokens, width, role }: TextEncoderConfig,
  embeddings: PromptEmbeddings,
): Record<string, TensorData> {
  const ids = chunks.flatMap((chunk) =>
    Array.from(kind === 'open-clip' ? padForOpenClip(chunk.tokens) : chunk.tokens),
  );
  return {
    tokens: {
      type: 'int64',
      data: BigInt64Array.from(ids, BigInt),
      shape: [chunks.length, tokens],
    },
    ...overrideTokens(chunks, tokens, width, (name) => embeddings.vectors(name, role)),
  };
}

/** Puts embeddings' vectors in the place of tokens; one number for all chunks where there are none. */
function overrideTokens(
  chunks: readonly PromptChunk[],
  tokens: number,
  width: number,
  vectorsOf: (name: string) => Float32Array,
): Record<'override' | 'is_overridden', TensorData> {
  const hasAny = chunks.some(({ fixes }) => fixes.length > 0);
  const [rows, columns] = hasAny ? [chunks.length, tokens] : [1, 1];
  const override = new Float32Array(rows * columns * width);
  const isOverridden = new Uint8Array(rows * columns);
  chunks.forEach(({ fixes }, row) => {
    for (const { name, position, vectors } of fixes) {
      const at = row * tokens + position;
      override.set(vectorsOf(name).subarray(0, vectors * width), at * width);
      isOverridden.fill(1, at, at + vectors);
    }
  });
  return {
    override: { type: 'float32', data: override, shape: [rows, columns, width] },
    is_overridden: { type: 'bool', data: isOverridden, shape: [rows, columns, 1] },
  };
}

/** Which layer's output is the conditioning, clip skip applied. */
function hiddenOutput(config: TextEncoderConfig, model: Model, options: EncodeOptions): string {
  const skipped = Math.min(Math.max(options.clipSkip, 1), config.layers) - 1;
  const canSkip = config.role === 'L' && (model.config.family === 'sd1' || options.sdxlClipLSkip);
  const layer = canSkip ? config.layers - skipped : config.conditioningLayer;
  return `${config.normalizesConditioning ? 'normed' : 'hidden'}.${layer}`;
}

/** Applies emphasis chunk by chunk over the group and writes this encoder's columns. */
function collectGroup(
  texts: Map<string, EncodedText>,
  group: readonly Member[],
  { hidden, pooled, row }: EncoderOutputs,
  config: TextEncoderConfig,
  options: EncodeOptions,
  { column, width }: { column: number; width: number },
): void {
  const chunkValues = config.tokens * config.width;
  const chunkCount = group[0]?.chunks.length ?? 0;
  for (const member of group) {
    const key = refKey(member.ref);
    const tokens = chunkCount * config.tokens;
    if (!texts.has(key))
      texts.set(key, { context: new Float32Array(tokens * width), tokens, pooled: null });
    const text = texts.get(key) as EncodedText;
    if (pooled) {
      const at = row.get(member.chunks[0] as PromptChunk) as number;
      const size = config.projectionDim;
      text.pooled = pooled.slice(at * size, (at + 1) * size);
    }
  }
  for (let c = 0; c < chunkCount; c++) {
    const encoded = new Float32Array(group.length * chunkValues);
    const weights = new Float32Array(group.length * config.tokens);
    group.forEach(({ chunks }, i) => {
      const chunk = chunks[c] as PromptChunk;
      const at = row.get(chunk) as number;
      encoded.set(hidden.subarray(at * chunkValues, (at + 1) * chunkValues), i * chunkValues);
      weights.set(chunk.weights, i * config.tokens);
    });
    const counts = group.map(({ count }) => count);
    applyEmphasis({ encoded, weights, width: config.width, counts }, options.emphasis);
    group.forEach(({ ref }, i) => {
      const { context } = texts.get(refKey(ref)) as EncodedText;
      for (let t = 0; t < config.tokens; t++) {
        const from = i * chunkValues + t * config.width;
        context.set(
          encoded.subarray(from, from + config.width),
          (c * config.tokens + t) * width + column,
        );
      }
    });
  }
}

function zero(text: EncodedText): void {
  text.context.fill(0);
  text.pooled?.fill(0);
}
