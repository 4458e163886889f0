import { ImageError } from './errors.ts';
import type { Raster } from './raster.ts';

/** A resampling filter: weight over distance in source pixels, zero beyond `support`. */
export interface Filter {
  support: number;
  weigh(x: number): number;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Lanczos with three lobes. */
export const LANCZOS: Filter = {
  support: 3,
  weigh: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0),
};

/** Keys 1981 with a = -0.5. */
export const BICUBIC: Filter = {
  support: 2,
  weigh: (distance) => {
    const a = -0.5;
    const x = Math.abs(distance);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
  },
};

/** Fractional bits of a weight: 32 minus 8 for the pixel and 2 for overshoot, as in Pillow. */
const WEIGHT_BITS = 22;

/**
 * Pixels of the result, and of what lies between the two passes: 4096 columns of the tallest picture that is
 * decoded. Covering a square with a strip would need a thousand times that.
 */
const MAX_PIXELS = 4_096 * 32_768;

/** For each target pixel: the first source pixel, how many count, and their weights. */
interface Taps {
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array;
  /** Weights per target pixel. */
  stride: number;
}

/**
 * Resamples to another size exactly as Pillow's `resize` does, which the web UI calls: rows first, then
 * columns, each rounded to 8 bits, with integer weights. A smaller target widens the filter, so nothing aliases.
 *
 * @param source  u8, any channels without alpha; not changed
 * @returns a new raster of `width` x `height` pixels
 * @throws ImageError `IMAGE_TOO_LARGE` where a very long picture would have to be made very wide
 */
export function resample(source: Raster, width: number, height: number, filter: Filter): Raster {
  const { channels } = source;
  let { data } = source;
  if (width * Math.max(height, source.height) > MAX_PIXELS) {
    throw new ImageError(
      'IMAGE_TOO_LARGE',
      `The picture of ${source.width} x ${source.height} pixels is too long to be made ${width} x ${height}.`,
    );
  }
  if (width !== source.width) {
    const taps = makeTaps(source.width, 0, source.width, width, filter);
    const target = new Uint8Array(width * source.height * channels);
    for (let y = 0; y < source.height; y++) {
      const from = y * source.width * channels;
      const to = y * width * channels;
      for (let c = 0; c < channels; c++) {
        applyTaps(data, from + c, channels, target, to + c, channels, taps);
      }
    }
    data = target;
  }
  if (height !== source.height) {
    const taps = makeTaps(source.height, 0, source.height, height, filter);
    data = filterRows(data, width * channels, taps);
  }
  return { width, height, channels, data: data === source.data ? data.slice() : data };
}

/**
 * Returns the line that Pillow makes of an edge when it stretches a box without extent: the outermost rows or
 * columns under a bicubic filter centred on the edge itself.
 *
 * @param edge  offset of the edge in the direction of the filter: 0, or the raster's extent
 */
export function sampleEdge(source: Raster, axis: 'row' | 'column', edge: number): Raster {
  const { width, height, channels, data } = source;
  const isRow = axis === 'row';
  const taps = makeTaps(isRow ? height : width, edge, edge, 1, BICUBIC);
  const length = isRow ? width : height;
  const target = new Uint8Array(length * channels);
  for (let i = 0; i < length; i++) {
    for (let c = 0; c < channels; c++) {
      const from = isRow ? i * channels + c : i * width * channels + c;
      applyTaps(data, from, isRow ? width * channels : channels, target, i * channels + c, 1, taps);
    }
  }
  return { width: isRow ? width : 1, height: isRow ? 1 : height, channels, data: target };
}

/** Weights for mapping the span from `start` to `end` of a line of `size` pixels to `targetSize` pixels. */
function makeTaps(
  size: number,
  start: number,
  end: number,
  targetSize: number,
  filter: Filter,
): Taps {
  const scale = (end - start) / targetSize;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(targetSize);
  const count = new Int32Array(targetSize);
  const weights = new Int32Array(targetSize * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < targetSize; i++) {
    const center = start + (i + 0.5) * scale;
    const from = Math.max(0, Math.trunc(center - support + 0.5));
    const to = Math.min(size, Math.trunc(center + support + 0.5));
    let sum = 0;
    for (let x = from; x < to; x++) {
      const weight = filter.weigh((x - center + 0.5) / filterScale);
      exact[x - from] = weight;
      sum += weight;
    }
    first[i] = from;
    count[i] = to - from;
    for (let k = 0; k < to - from; k++) {
      const weight = (exact[k]! / sum) * 2 ** WEIGHT_BITS;
      // Rounds half away from zero, as C's cast of w ± 0.5 does.
      weights[i * stride + k] = Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
  }
  return { first, count, weights, stride };
}

/** Filters all columns at once, row by row, so that memory is read in its order. */
function filterRows(source: Uint8Array, rowBytes: number, taps: Taps): Uint8Array {
  const { first, count, weights, stride } = taps;
  const target = new Uint8Array(first.length * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let i = 0; i < first.length; i++) {
    sums.fill(1 << (WEIGHT_BITS - 1));
    for (let k = 0; k < count[i]!; k++) {
      const weight = weights[i * stride + k]!;
      const at = (first[i]! + k) * rowBytes;
      for (let x = 0; x < rowBytes; x++) sums[x]! += source[at + x]! * weight;
    }
    const to = i * rowBytes;
    for (let x = 0; x < rowBytes; x++) target[to + x] = toByte(sums[x]!);
  }
  return target;
}

function toByte(sum: number): number {
  return Math.max(0, Math.min(255, sum >> WEIGHT_BITS));
}

/** Filters one line of one channel; offsets and steps are in bytes. */
function applyTaps(
  source: Uint8Array,
  sourceOffset: number,
  sourceStep: number,
  target: Uint8Array,
  targetOffset: number,
  targetStep: number,
  { first, count, weights, stride }: Taps,
): void {
  for (let i = 0; i < first.length; i++) {
    let at = sourceOffset + first[i]! * sourceStep;
    let sum = 1 << (WEIGHT_BITS - 1);
    const start = i * stride;
    const end = start + count[i]!;
    for (let k = start; k < end; k++) {
      sum += source[at]! * weights[k]!;
      at += sourceStep;
    }
    target[targetOffset + i * targetStep] = toByte(sum);
  }
}
