import { combine, type Term } from './latents.ts';

/** How conditioned and unconditioned predictions are weighed. */
export interface GuidanceOptions {
  /** Guidance; 1 = the positive prompt alone. */
  cfgScale: number;
  /** Weights of the AND parts, one list per image. */
  weights: readonly (readonly number[])[];
  /** NGMS: below this noise level the uncond pass is left out on every second call; 0 = off. */
  sMinUncond?: number;
  /** NGMS on every call. */
  sMinUncondAll?: boolean;
  /** Share of the calls at the start that go without uncond pass; 0 = off. */
  skipEarlyCond?: number;
  /**
   * Guidance by the picture that an instruct model edits (Brooks et al. 2023, equation 3): a third
   * prediction knows neither text nor picture. Undefined = the picture is always known.
   */
  imageCfgScale?: number | undefined;
  /** Share of CFG rescale (Lin et al. 2024, section 3.4), 0 … 1; 0 = off. */
  cfgRescale?: number;
}

/** The model call that is about to happen. */
export interface CallPosition {
  /** 0-based. */
  call: number;
  /** Calls the run is expected to make. */
  totalCalls: number;
  /** What the sampler steps along: sigma, or the timestep (which the web UI compares as if it were). */
  level: number;
}

/**
 * Returns whether the guided prediction needs the negative prompt at all: it cancels out where the
 * guided weights of every image sum to 1.
 *
 * @param options see GuidanceOptions
 */
export function needsUncond({ cfgScale, weights }: GuidanceOptions): boolean {
  return weights.some((parts) => parts.reduce((sum, weight) => sum + weight * cfgScale, 0) !== 1);
}

/**
 * Returns whether a call leaves the uncond pass out although guidance is on.
 *
 * @param options  see GuidanceOptions
 * @param position the call
 */
export function skipsUncond(options: GuidanceOptions, position: CallPosition): boolean {
  const { sMinUncond = 0, sMinUncondAll = false, skipEarlyCond = 0 } = options;
  const { call, totalCalls, level } = position;
  if (skipEarlyCond !== 0 && call / totalCalls <= skipEarlyCond) return true;
  // Guidance by a picture needs every prediction; the web UI has no NGMS with it.
  if (options.imageCfgScale !== undefined) return false;
  return level < sMinUncond && (call % 2 === 1 || sMinUncondAll);
}

/** How the rows of one network call are laid out and weighed. */
export interface RowLayout {
  /** Weights of the AND parts, one list per image. */
  weights: readonly (readonly number[])[];
  /** Whether one uncond per image follows the conds. */
  hasUncond: boolean;
  /** Whether one prediction per image that knows nothing follows those; only after unconds. */
  hasBlank?: boolean;
  /** Values per row. */
  size: number;
}

/**
 * Returns guided predictions: u + Σ weight · scale · (c − u) for each image.
 *
 * Without uncond rows the first cond stands in for u. Where there are blank predictions b,
 * (imageScale − 1) · (u − b) is added.
 *
 * @param rows       network output, f32 [Σ parts (+ images) (+ images), size]: conds image by image,
 *                   then unconds, then blanks; not changed
 * @param layout     see RowLayout
 * @param scale      guidance
 * @param cfgRescale 0 … 1; see GuidanceOptions
 * @param imageScale guidance by the picture; counts only with blanks
 * @returns fresh f32 [images, size]
 */
export function guide(
  rows: Float32Array,
  layout: RowLayout,
  scale: number,
  cfgRescale = 0,
  imageScale = 1,
): Float32Array {
  const { weights, hasUncond, hasBlank = false, size } = layout;
  const guided = pickUncond(rows, layout);
  let row = 0;
  weights.forEach((parts, image) => {
    const out = guided.subarray(image * size, (image + 1) * size);
    const total = parts.reduce((sum, weight) => sum + weight, 0);
    const terms = parts.map(
      (weight, part): Term => [
        weight * scale,
        rows.subarray((row + part) * size, (row + part + 1) * size),
      ],
    );
    const blank = hasBlank ? lastRow(rows, layout, image) : null;
    const own = 1 - total * scale + (blank ? imageScale - 1 : 0);
    combine(out, [own, out], ...terms, ...(blank ? [[1 - imageScale, blank] as const] : []));
    if (hasUncond && cfgRescale > 0) rescaleGuided(out, terms[0]![1], cfgRescale);
    row += parts.length;
  });
  return guided;
}

/**
 * Returns the unconditioned predictions of a batch, or the first conds where there are none.
 *
 * @param rows   as for `guide`; not changed
 * @param layout see RowLayout
 * @returns fresh f32 [images, size]
 */
export function pickUncond(rows: Float32Array, layout: RowLayout): Float32Array {
  const { weights, hasUncond, hasBlank = false, size } = layout;
  if (hasUncond) {
    const end = rows.length - (hasBlank ? weights.length * size : 0);
    return rows.slice(end - weights.length * size, end);
  }
  return pickCond(rows, layout);
}

/**
 * Returns the predictions of a batch for the first AND part of each image.
 *
 * @param rows   as for `guide`; not changed
 * @param layout see RowLayout
 * @returns fresh f32 [images, size]
 */
export function pickCond(rows: Float32Array, { weights, size }: RowLayout): Float32Array {
  const picked = new Float32Array(weights.length * size);
  let row = 0;
  weights.forEach((parts, image) => {
    picked.set(rows.subarray(row * size, (row + 1) * size), image * size);
    row += parts.length;
  });
  return picked;
}

/** Row of one image in the last group of rows. */
function lastRow(rows: Float32Array, { weights, size }: RowLayout, image: number): Float32Array {
  const begin = rows.length - (weights.length - image) * size;
  return rows.subarray(begin, begin + size);
}

/** Pulls the spread of a guided prediction back towards that of the conditioned one, in place. */
function rescaleGuided(guided: Float32Array, cond: Float32Array, share: number): void {
  const factor = share * (deviation(cond) / deviation(guided)) + (1 - share);
  for (let i = 0; i < guided.length; i++) guided[i] = guided[i]! * factor;
}

function deviation(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}
