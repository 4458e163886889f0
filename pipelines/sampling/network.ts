import {
  type GuidanceOptions,
  guide,
  needsUncond,
  pickCond,
  pickUncond,
  type RowLayout,
  skipsUncond,
} from './guidance.ts';
import { Interrupted } from './interrupted.ts';
import { countValues, type LatentShape } from './latents.ts';

/** `part` of a row that carries the negative prompt. */
export const UNCOND = -1;
/** `part` of a row that carries the negative prompt and no picture; instruct models only. */
export const BLANK = -2;

/** Which conditioning one row of a network call takes. */
export interface NetworkRow {
  /** 0-based image of the batch. */
  image: number;
  /** 0-based AND part of the image's prompt, UNCOND or BLANK. */
  part: number;
}

/** One call of the network: all rows of all images in one batch. */
export interface NetworkCall {
  /** Scaled latents, f32 [rows, channels, height, width]; reused, valid during the call only. */
  input: Float32Array;
  shape: LatentShape;
  /** Conds image by image, then unconds, then blanks. The same array object for the same set of rows. */
  rows: readonly NetworkRow[];
  /** What every row is told, 0 … 999; may be fractional. */
  timestep: number;
  /** The same as a noise level. */
  sigma: number;
  /** 0-based sampler step the call belongs to. */
  step: number;
  /** Steps the run is expected to make. */
  totalSteps: number;
  /** 0-based model call within this run; decides prompt editing. */
  call: number;
  /** Calls the run is expected to make. */
  totalCalls: number;
}

/** The network: f32 [rows, channels, height, width] of predictions (eps or v). */
export type Network = (call: NetworkCall) => Promise<Float32Array>;

/** What a guided network is made of. */
export interface GuidedNetworkOptions {
  network: Network;
  shape: LatentShape;
  guidance: GuidanceOptions;
  /** Calls the run is expected to make. */
  totalCalls: number;
  /** Steps the run is expected to make; default: as many as calls. */
  totalSteps?: number;
  /** Whether the uncond prediction is wanted even where guidance does not need it (CFG++). */
  keepsUncond: boolean;
  /** Asked before every call; true stops the run. */
  shouldStop?: () => boolean;
}

/** Noise level of one call. */
export interface CallLevel {
  /** Factor on x before it enters the network. */
  scale: number;
  /** What the network is told. */
  timestep: number;
  sigma: number;
  /** The one of both that the sampler steps along. */
  level: number;
}

/** A network whose batch rows have been reduced to one guided prediction per image. */
export interface GuidedNetwork {
  /**
   * Returns guided predictions.
   *
   * @param x     f32 [batch, channels, height, width]; not changed
   * @param level see CallLevel
   * @returns fresh f32, shape of x
   * @throws Interrupted when shouldStop says so
   */
  predict(x: Float32Array, level: CallLevel): Promise<Float32Array>;
  /** Predictions of the latest call with the prompt alone, its first AND part; fresh f32, shape of x. */
  cond(): Float32Array;
  /** The same with the negative prompt alone; with the prompt where that was left out. */
  uncond(): Float32Array;
  /** Calls made. */
  readonly calls: number;
  /** Sampler step under way; written by the run. */
  step: number;
}

/**
 * Returns the guided form of a network.
 *
 * Guidance is linear with weights that sum to 1, so it is done on the network's own predictions;
 * the conversion to denoised latents happens once, after it.
 *
 * @param options see GuidedNetworkOptions
 */
export function createGuidedNetwork(options: GuidedNetworkOptions): GuidedNetwork {
  const { network, guidance, totalCalls, keepsUncond, shouldStop } = options;
  const [batch, channels, height, width] = options.shape;
  const size = countValues([channels, height, width]);
  const condRows = guidance.weights.flatMap((parts, image) =>
    parts.map((_, part): NetworkRow => ({ image, part })),
  );
  const hasBlank = guidance.imageCfgScale !== undefined;
  const oneEach = (part: number) =>
    Array.from({ length: batch }, (_, image): NetworkRow => ({ image, part }));
  const allRows = [...condRows, ...oneEach(UNCOND), ...(hasBlank ? oneEach(BLANK) : [])];
  const input = new Float32Array(allRows.length * size);
  const wantsUncond = keepsUncond || hasBlank || needsUncond(guidance);
  let latest: [rows: Float32Array, layout: RowLayout] | null = null;
  const pick = (from: typeof pickCond) => (latest ? from(...latest) : new Float32Array(0));
  let calls = 0;

  return {
    step: 0,
    get calls() {
      return calls;
    },
    cond: () => pick(pickCond),
    uncond: () => pick(pickUncond),
    async predict(x, { scale, timestep, sigma, level }) {
      if (shouldStop?.()) throw new Interrupted();
      const isSkipped = skipsUncond(guidance, { call: calls, totalCalls, level });
      const hasUncond = wantsUncond && !isSkipped;
      const rows = hasUncond ? allRows : condRows;
      const used = input.subarray(0, rows.length * size);
      rows.forEach(({ image }, row) => {
        for (let i = 0; i < size; i++) used[row * size + i] = x[image * size + i]! * scale;
      });
      const predicted = await network({
        input: used,
        shape: [rows.length, channels, height, width],
        rows,
        timestep,
        sigma,
        step: this.step,
        totalSteps: options.totalSteps ?? totalCalls,
        call: calls,
        totalCalls,
      });
      calls++;
      const layout = {
        weights: guidance.weights,
        hasUncond,
        hasBlank: hasUncond && hasBlank,
        size,
      };
      latest = [predicted, layout];
      // A skipped uncond turns guidance off; one that is not needed leaves it as it is.
      const cfgScale = isSkipped && wantsUncond ? 1 : guidance.cfgScale;
      return guide(predicted, layout, cfgScale, guidance.cfgRescale, guidance.imageCfgScale);
    },
  };
}
