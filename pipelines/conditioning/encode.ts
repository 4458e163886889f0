/** Text to conditioning: every text of a plan through the checkpoint's text encoders, once. */
import type { TextEncoderConfig } from '../../networks/checkpoint/config.ts';
import type { JobOptions } from '../job.ts';
import type { Model } from '../model/model.ts';
import { type ChunkOptions, chunkPrompt, emptyChunk, type PromptChunk } from '../prompt/chunks.ts';
import type { ConditioningPlan, CondRef } from '../prompt/conditioning-plan.ts';
import { applyEmphasis } from '../prompt/emphasis.ts';
import { noPromptEmbeddings, type PromptEmbeddings } from './prompt-embeddings.ts';
import { type EncoderLoras, type EncoderOutputs, runEncoder } from './run-text-encoder.ts';

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
  'clipSkip' | 'sdxlClipLSkip' | 'emphasis' | 'commaPaddingBacktrack' | 'keepsConditioning'
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
 * Encodes a plan's texts; equal chunks of tokens are encoded once, and not at all where the model
 * still has the same run from an earlier job.
 *
 * @param loras       of the job; undefined for none
 * @param embeddings  of all texts of the plan
 * @returns encodings of every (group, text) pair; an uncond whose texts are all empty is zeros on
 *   SDXL, as the web UI does
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function encodePlan(
  model: Model,
  plan: ConditioningPlan,
  options: EncodeOptions,
  loras?: EncoderLoras,
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
    const chunks = groups.flat().flatMap((member) => member.chunks);
    const outputs = await runEncoder(model, config, chunks, { options, loras, embeddings });
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
