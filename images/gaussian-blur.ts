import type { Raster } from './raster.ts';

/** Fractional bits of the blur's weights, as OpenCV's 8-bit Gaussian has them. */
const BLUR_BITS = 8;

/**
 * Blurs a mask with a Gaussian, rows first, then columns, each rounded to 8 bits.
 *
 * @param mask    one channel; not changed
 * @param blurX   standard deviation along rows, in pixels; 0 = none
 * @param blurY   along columns
 */
export function blurMask(mask: Raster, blurX: number, blurY: number): Raster {
  const { width, height } = mask;
  let { data } = mask;
  if (blurX > 0) {
    const target = new Uint8Array(data.length);
    const weights = gaussianWeights(blurX);
    for (let y = 0; y < height; y++) blurLine(data, target, y * width, 1, width, weights);
    data = target;
  }
  if (blurY > 0) {
    const target = new Uint8Array(data.length);
    const weights = gaussianWeights(blurY);
    for (let x = 0; x < width; x++) blurLine(data, target, x, width, height, weights);
    data = target;
  }
  return { ...mask, data: data === mask.data ? data.slice() : data };
}

/**
 * Returns the weights of 2·int(2.5·sigma + 0.5) + 1 taps, in 1/256, with sum 256. What rounding takes from one
 * weight goes into the next, from the ends to the middle, as in OpenCV.
 */
function gaussianWeights(sigma: number): Int32Array {
  const radius = Math.trunc(2.5 * sigma + 0.5);
  const exact = Array.from({ length: radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)),
  );
  const sum = exact.reduce((total, value, i) => total + (i < radius ? 2 : 1) * value, 0);
  const weights = new Int32Array(2 * radius + 1);
  let carry = 0;
  let rest = 1 << BLUR_BITS;
  for (let i = 0; i < radius; i++) {
    const wanted = (exact[i]! / sum) * (1 << BLUR_BITS) + carry;
    const weight = Math.round(wanted);
    carry = wanted - weight;
    weights[i] = weight;
    weights[2 * radius - i] = weight;
    rest -= 2 * weight;
  }
  weights[radius] = rest;
  return weights;
}

/** Filters one line; beyond the ends it is mirrored without repeating the last pixel. */
function blurLine(
  source: Uint8Array,
  target: Uint8Array,
  offset: number,
  step: number,
  length: number,
  weights: Int32Array,
): void {
  const radius = weights.length >> 1;
  const line = new Uint8Array(length + 2 * radius);
  for (let i = 0; i < line.length; i++)
    line[i] = source[offset + mirror(i - radius, length) * step]!;
  // Wide blurs round their outer weights to zero.
  const skipped = weights.findIndex((weight) => weight !== 0);
  for (let i = 0; i < length; i++) {
    let sum = 1 << (BLUR_BITS - 1);
    for (let k = skipped; k < weights.length - skipped; k++) sum += weights[k]! * line[i + k]!;
    target[offset + i * step] = Math.min(255, sum >> BLUR_BITS);
  }
}

function mirror(at: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const within = ((at % period) + period) % period;
  return within < length ? within : period - within;
}
