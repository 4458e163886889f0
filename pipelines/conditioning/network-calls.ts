import { tileFeed } from '../../networks/onnx/tiles.ts';
import { countMergedTokens, planTokenMerging } from '../../networks/onnx/token-merging.ts';
import type { LoraFeeds, TensorData, Network as Unet } from '../../networks/session.ts';
import { assertFinite } from '../errors.ts';
import type { HyperTile } from '../hyper-tile/hyper-tile.ts';
import type { Model } from '../model/model.ts';
import { type ConditioningPlan, type CondRef, condsAtStep } from '../prompt/conditioning-plan.ts';
import { countValues } from '../sampling/latents.ts';
import { BLANK, type Network, type NetworkCall, type NetworkRow } from '../sampling/network.ts';
import { arrangeRuns, type Run, type RunOptions } from './arrange-runs.ts';
import { refKey } from './encode.ts';
import { noPromptEmbeddings, type PromptEmbeddings } from './prompt-embeddings.ts';

export interface NetworkCallOptions extends RunOptions {
  plan: ConditioningPlan;
  /**
   * Further input channels of inpainting and instruct models, f32 [1 or images, extra, h, w], taken
   * in turn where a batch has more pictures; null for none.
   */
  extraChannels: Float32Array | null;
  circular: boolean;
  /** Share of the tokens that self-attention merges, 0 … 0.9; default 0, none. */
  tokenMergingRatio?: number;
  /** Whether the UNet can merge tokens even if none are here: the job's other pass may; default by the ratio. */
  mergesTokens?: boolean;
  /** Draws the tiles that self-attention runs in; null for none. */
  hyperTile?: HyperTile | null;
  /** Of the encoded texts; for the infotext only. */
  embeddings?: PromptEmbeddings;
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
  const { tokenMergingRatio = 0, mergesTokens = tokenMergingRatio > 0, hyperTile = null } = options;
  const form = { mergesTokens, tiles: hyperTile !== null };
  const load = () => model.unet(options.circular, merges, form);
  const { family } = model.config;
  const isXl = family === 'sdxl' || family === 'sdxl-refiner';
  const fixed = loras?.varies ? undefined : loras?.feeds(prefix);
  const feedsOf = ({ step, totalSteps }: NetworkCall, { picture }: Run): LoraFeeds | undefined =>
    loras?.varies
      ? loras.feeds(prefix, loras.weightsAt({ step, steps: totalSteps, picture }))
      : fixed;
  const call: Network = async (call) => {
    const unet = await load();
    const refs = refsOf(call, options.plan);
    const key = refs.map(refKey).join();
    if (latest?.key !== key) latest = { key, runs: arrangeRuns(call.rows, refs, model, options) };
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
        { unet, lora, inChannels, tokenMergingRatio, mergesTokens, hyperTile, isXl },
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

/** What a run is made with; `inChannels` may be more than a latent has. */
interface Means {
  unet: Unet;
  lora: LoraFeeds | undefined;
  inChannels: number;
  tokenMergingRatio: number;
  mergesTokens: boolean;
  hyperTile: HyperTile | null;
  isXl: boolean;
}

async function runUnet(
  { unet, lora, inChannels, ...means }: Means,
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
      ...shortenAttention(unet, means, height, width),
    },
    ['out'],
    lora,
  );
  return out?.data as Float32Array;
}

/** What a run is fed with so that self-attention sees fewer tokens. */
function shortenAttention(
  { tiledLayers }: Unet,
  { tokenMergingRatio, mergesTokens, hyperTile, isXl }: Omit<Means, 'unet' | 'lora' | 'inChannels'>,
  height: number,
  width: number,
): Record<string, TensorData> {
  const merged = countMergedTokens([height, width], tokenMergingRatio);
  const run = { height, width, merged, isXl };
  return {
    ...(mergesTokens && planTokenMerging([height, width], tokenMergingRatio)),
    ...(hyperTile && tileFeed(tiledLayers, hyperTile.drawUnet(tiledLayers, run))),
  };
}
