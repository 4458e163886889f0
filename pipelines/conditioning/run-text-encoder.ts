/** Chunks of prompts through one text encoder. */
import { setImmediate } from 'node:timers/promises';
import type { LoraPlan } from '../../lora/plan.ts';
import type { TextEncoderConfig } from '../../networks/checkpoint/config.ts';
import type { TensorData } from '../../networks/session.ts';
import { assertFinite } from '../errors.ts';
import type { JobOptions } from '../job.ts';
import type { Model } from '../model/model.ts';
import { type PromptChunk, padForOpenClip } from '../prompt/chunks.ts';
import type { PromptEmbeddings } from './prompt-embeddings.ts';
import type { EncodedChunks } from './run-cache.ts';

/**
 * Chunks of one run of a text encoder: about 10 MB of activations each in the widest one, and an
 * honest request has 3 to 10. Prompt editing can ask for thousands.
 */
const MAX_CHUNKS_PER_RUN = 16;

/** What one encoder made of chunks. */
export interface EncoderOutputs {
  /** f32 [distinct chunks * 77, width]. */
  hidden: Float32Array;
  /** f32 [distinct chunks, projectionDim]; null where the model has no use for it. */
  pooled: Float32Array | null;
  /** Position of each chunk in `hidden`. */
  row: Map<PromptChunk, number>;
}

/** What LoRAs do to the text encoders. */
export type EncoderLoras = Pick<LoraPlan, 'feeds' | 'merges' | 'fingerprint'>;

/** Which options reach a text encoder. */
type RunOptions = Pick<JobOptions, 'clipSkip' | 'sdxlClipLSkip' | 'keepsConditioning'>;

/** What a job says about its text encoders. */
export interface EncoderJob {
  options: RunOptions;
  loras: EncoderLoras | undefined;
  embeddings: PromptEmbeddings;
}

/**
 * Runs one text encoder over chunks; one that an earlier job ran over the same is not asked again.
 *
 * @throws SessionError, PipelineError NON_FINITE
 */
export async function runEncoder(
  model: Model,
  config: TextEncoderConfig,
  chunks: readonly PromptChunk[],
  job: EncoderJob,
): Promise<EncoderOutputs> {
  const { distinct, row } = findDistinct(chunks);
  const hiddenName = hiddenOutput(config, model, job.options);
  const hidden = new Float32Array(distinct.length * config.tokens * config.width);
  const isPooled = config.role === 'G';
  const pooled = isPooled ? new Float32Array(distinct.length * config.projectionDim) : null;
  for (let from = 0; from < distinct.length; from += MAX_CHUNKS_PER_RUN) {
    const batch = distinct.slice(from, from + MAX_CHUNKS_PER_RUN);
    const made = await runBatch(model, config, batch, hiddenName, job);
    hidden.set(made.hidden, from * config.tokens * config.width);
    if (made.pooled) pooled?.set(made.pooled, from * config.projectionDim);
  }
  return { hidden, pooled, row };
}

async function runBatch(
  model: Model,
  config: TextEncoderConfig,
  chunks: readonly PromptChunk[],
  hiddenName: string,
  { options, loras, embeddings }: EncoderJob,
): Promise<EncodedChunks> {
  // A file of vectors may change under its name.
  const isKept = options.keepsConditioning && chunks.every(({ fixes }) => fixes.length === 0);
  const tokens = chunks.map((chunk) => chunk.tokens.join()).join(' ');
  const key = `${config.prefix} ${hiddenName} ${loras?.fingerprint(config.prefix) ?? ''} ${tokens}`;
  const known = isKept ? model.encoded.get(key) : undefined;
  if (known) return known;
  const network = await model.textEncoder(config, loras?.merges(config.prefix));
  const isPooled = config.role === 'G';
  const run = await network.run(
    feedTokens(chunks, config, embeddings),
    isPooled ? [hiddenName, 'pooled'] : [hiddenName],
    loras?.feeds(config.prefix),
  );
  const made = {
    hidden: run[hiddenName]?.data as Float32Array,
    pooled: isPooled ? (run.pooled?.data as Float32Array) : null,
  };
  const stage = `text encoder CLIP-${config.role}`;
  assertFinite(stage, model.checkpoint.name, made.hidden);
  if (made.pooled) assertFinite(stage, model.checkpoint.name, made.pooled);
  if (isKept) model.encoded.set(key, made);
  // A run blocks everything else; interrupt and questions about memory wait for this.
  await setImmediate();
  return made;
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
function hiddenOutput(config: TextEncoderConfig, model: Model, options: RunOptions): string {
  const skipped = Math.min(Math.max(options.clipSkip, 1), config.layers) - 1;
  const canSkip = config.role === 'L' && (model.config.family === 'sd1' || options.sdxlClipLSkip);
  const layer = canSkip ? config.layers - skipped : config.conditioningLayer;
  return `${config.normalizesConditioning ? 'normed' : 'hidden'}.${layer}`;
}
