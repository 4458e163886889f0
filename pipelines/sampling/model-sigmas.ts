/** Length of the training schedule of every Stable Diffusion model. */
export const TRAIN_TIMESTEPS = 1000;

/** First and last beta of the "scaled linear" training schedule of SD 1, SD 2 and SDXL. */
const BETA_START = 0.00085;
const BETA_END = 0.012;

/** What a zero-terminal-SNR schedule ends at instead of 0, so that sigma stays finite (about 4518). */
const TERMINAL_ALPHA = 4.8973451890853435e-8;

/** Bits of half precision after the leading one. */
const HALF_BITS = 10;

const f32 = Math.fround;

/** The noise levels a model was trained on; all f32. */
export interface ModelSigmas {
  /** Products of 1 - beta, 1000, one per timestep; falling. */
  readonly alphasCumprod: Float32Array;
  /** sqrt((1 - alpha) / alpha), one per grid point; rising. */
  readonly sigmas: Float32Array;
  readonly logSigmas: Float32Array;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** Distance of grid points in timesteps; the last point is timestep 999. 1 but for LCM's grid. */
  readonly stride: number;
  /** Whether a noise level is told to the network as the nearest grid point. */
  readonly quantize: boolean;
}

/** How a model's schedule deviates from the standard one. */
export interface ModelSigmasOptions {
  /** Rescale to zero terminal SNR (Lin et al. 2024, algorithm 1). */
  zeroTerminalSnr?: boolean;
  /** Tell the network the nearest trained timestep instead of a fractional one. */
  quantize?: boolean;
  /** Round the products of 1 - beta to half precision, as old versions of the web UI held them. */
  downcast?: boolean;
}

/**
 * Returns the training schedule of a Stable Diffusion model.
 *
 * Betas and their products are double precision, the result is rounded to f32 as the reference
 * implementations store it.
 *
 * @param options see ModelSigmasOptions
 * @returns alphas and sigmas of 1000 timesteps
 */
export function createModelSigmas(options: ModelSigmasOptions = {}): ModelSigmas {
  const alphasCumprod = new Float32Array(TRAIN_TIMESTEPS);
  const start = Math.sqrt(BETA_START);
  const step = (Math.sqrt(BETA_END) - start) / (TRAIN_TIMESTEPS - 1);
  let product = 1;
  for (let t = 0; t < TRAIN_TIMESTEPS; t++) {
    product *= 1 - (start + step * t) ** 2;
    alphasCumprod[t] = product;
  }
  const held = options.downcast ? alphasCumprod.map(roundToHalf) : alphasCumprod;
  const alphas = options.zeroTerminalSnr ? rescaleToZeroSnr(held) : held;
  return createGrid(alphas, 1, options.quantize ?? false);
}

/**
 * Returns every k-th noise level of a schedule, counted down from the last: the grid that latent
 * consistency models were distilled on. Timesteps snap to its points.
 *
 * @param model  full schedule
 * @param stride k; a divisor of 1000
 * @returns schedule of 1000 / k grid points over the same alphas
 */
export function thinModelSigmas(model: ModelSigmas, stride: number): ModelSigmas {
  return createGrid(model.alphasCumprod, stride, true);
}

function createGrid(alphasCumprod: Float32Array, stride: number, quantize: boolean): ModelSigmas {
  const sigmas = new Float32Array(alphasCumprod.length / stride);
  for (let i = 0; i < sigmas.length; i++) {
    sigmas[i] = alphaToSigma(alphasCumprod[stride * (i + 1) - 1]!);
  }
  return {
    alphasCumprod,
    sigmas,
    logSigmas: sigmas.map(Math.log),
    sigmaMin: sigmas[0]!,
    sigmaMax: sigmas[sigmas.length - 1]!,
    stride,
    quantize,
  };
}

function alphaToSigma(alpha: number): number {
  return f32(Math.sqrt(f32(f32(1 - alpha) / alpha)));
}

/** Rounds to the 11 significant bits of half precision, ties to even; for 2^-14 <= value <= 1. */
function roundToHalf(value: number): number {
  const unit = 2 ** (Math.floor(Math.log2(value)) - HALF_BITS);
  const below = Math.floor(value / unit);
  const rest = value / unit - below;
  return (rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below) * unit;
}

function rescaleToZeroSnr(alphasCumprod: Float32Array): Float32Array {
  const roots = alphasCumprod.map(Math.sqrt);
  const first = roots[0]!;
  const last = roots[roots.length - 1]!;
  const scale = f32(first / f32(first - last));
  const rescaled = roots.map((root) => f32(f32(root - last) * scale) ** 2);
  rescaled[rescaled.length - 1] = TERMINAL_ALPHA;
  return rescaled;
}

/**
 * Returns the grid position of a noise level, linear in log sigma between grid points.
 *
 * @param model the model's schedule
 * @param sigma noise level > 0; clamped to the schedule
 * @returns index 0 … grid length - 1; fractional unless the model quantizes
 */
export function sigmaToIndex(model: ModelSigmas, sigma: number): number {
  if (model.quantize) return nearestIndex(model, sigma);
  const { logSigmas } = model;
  const logSigma = f32(Math.log(sigma));
  const low = Math.max(0, Math.min(countAtMost(logSigmas, logSigma) - 1, logSigmas.length - 2));
  const from = logSigmas[low]!;
  const to = logSigmas[low + 1]!;
  const w = Math.min(Math.max(f32(f32(from - logSigma) / f32(from - to)), 0), 1);
  return f32(f32(f32(1 - w) * low) + f32(w * (low + 1)));
}

/**
 * Returns the noise level at a grid position, linear in log sigma between grid points.
 *
 * @param model the model's schedule
 * @param index fractional index, 0 … grid length - 1
 * @returns sigma, f32
 */
export function indexToSigma(model: ModelSigmas, index: number): number {
  const low = Math.floor(index);
  const w = f32(index - low);
  const from = model.logSigmas[low]!;
  const to = model.logSigmas[Math.ceil(index)]!;
  return f32(Math.exp(f32(f32(f32(1 - w) * from) + f32(w * to))));
}

/**
 * Returns the grid point closest to a noise level in log sigma.
 *
 * @param model the model's schedule
 * @param sigma noise level > 0
 * @returns integer index; the lower one at a tie
 */
export function nearestIndex(model: ModelSigmas, sigma: number): number {
  const { logSigmas } = model;
  const logSigma = f32(Math.log(sigma));
  const above = countAtMost(logSigmas, logSigma);
  if (above === 0) return 0;
  if (above === logSigmas.length) return above - 1;
  const below = above - 1;
  // Halfway between two points f32 rounding decides, as it does in the reference.
  const down = f32(logSigma - logSigmas[below]!);
  const up = f32(logSigmas[above]! - logSigma);
  return down <= up ? below : above;
}

/**
 * Returns the timestep a network is told for a noise level.
 *
 * @param model the model's schedule
 * @param sigma noise level > 0
 * @returns timestep 0 … 999; fractional unless the model quantizes
 */
export function sigmaToTimestep(model: ModelSigmas, sigma: number): number {
  return model.stride * (sigmaToIndex(model, sigma) + 1) - 1;
}

/**
 * Returns the noise level of a trained timestep, whatever grid the model steps along.
 *
 * @param model    the model's schedule
 * @param timestep integer 0 … 999
 * @returns sigma, f32
 */
export function timestepToSigma(model: ModelSigmas, timestep: number): number {
  return alphaToSigma(model.alphasCumprod[timestep]!);
}

/** Number of leading entries of a rising list that are at most `value`, by bisection. */
function countAtMost(rising: Float32Array, value: number): number {
  let low = 0;
  let high = rising.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rising[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
