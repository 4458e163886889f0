/** The rows of one model call, put together into runs of the UNet. */
import type { LoraPlan } from '../../lora/plan.ts';
import type { TensorData } from '../../networks/session.ts';
import type { Model } from '../model/model.ts';
import type { CondRef } from '../prompt/conditioning-plan.ts';
import type { NetworkRow } from '../sampling/network.ts';
import { type EncodedPlan, type EncodedText, refKey } from './encode.ts';

/** What decides which rows run together. */
export interface RunOptions {
  encoded: EncodedPlan;
  /** SDXL: f32 size embeddings of the positive and the negative prompt; null for SD 1.x and 2.x. */
  sizes: { cond: Float32Array; uncond: Float32Array } | null;
  /** Pad the shorter of cond and uncond with empty prompts instead of running them apart. */
  padCondUncond: boolean;
  /** Repeat the last vector of uncond up to the length of cond, or cut it there. */
  padCondUncondV0?: boolean;
  /** Run cond and uncond in one batch. */
  batchCondUncond: boolean;
  /** What changes the UNet's layers; undefined for nothing. */
  loras?: LoraPlan | undefined;
}

/** Rows that fit one run of the UNet: their conditionings have one length. */
export interface Run {
  /** Indices of the call's rows. */
  rows: number[];
  /** A picture whose LoRA weights are those of all rows. */
  picture: number;
  context: TensorData;
  /** SDXL's vector; null for SD 1.x and 2.x. */
  y: TensorData | null;
}

/**
 * Returns the runs of one call, conds before unconds.
 *
 * @param refs  conditioning of each row
 */
export function arrangeRuns(
  rows: readonly NetworkRow[],
  refs: readonly CondRef[],
  model: Model,
  options: RunOptions,
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
  const perRun = countPerRun(rows, lengths, options.batchCondUncond);
  const seen = { cond: 0, uncond: 0 };
  rows.forEach((_, i) => {
    const kind = isUncond[i] ? 'uncond' : 'cond';
    const part = Math.floor(seen[kind]++ / perRun);
    const apart = options.batchCondUncond ? '' : kind;
    const key = `${lengths[i]} ${pictures[i]} ${apart} ${part}`;
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

/**
 * Rows of one kind that share a run, as in the web UI: a batch of pictures, two where their prompts are
 * longer or shorter than the negative one; all where everything has one length.
 */
function countPerRun(
  rows: readonly NetworkRow[],
  lengths: readonly number[],
  batchCondUncond: boolean,
): number {
  const images = 1 + Math.max(...rows.map(({ image }) => image));
  if (!batchCondUncond) return images;
  return new Set(lengths).size === 1 ? rows.length : 2 * images;
}

/** Writes `filler` again and again from `begin` to the end of `target`; both hold whole tokens. */
function repeat(target: Float32Array, begin: number, filler: Float32Array): void {
  for (let at = begin; at < target.length; at += filler.length) target.set(filler, at);
}
