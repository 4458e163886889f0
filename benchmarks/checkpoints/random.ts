/**
 * Random weights as a pure function of (seed, key, shape, std, dtype): the order of tensors in a
 * file, the chunk size of the writer and the platform change nothing.
 */
import { encodeHalf, roundOff } from '../../networks/checkpoint/half.ts';

/** The dtypes a weight can be written as; names as safetensors spells them. */
export type WeightDtype = 'F16' | 'BF16' | 'F32';

/** Bit patterns of weights: 16-bit for F16 and BF16, 32-bit for F32. */
export type WeightBits = Uint16Array | Uint32Array;

/** A normal value is one of this many equally likely ones; 16 random bits choose. */
const TABLE_SIZE = 65536;

/** Makes an array for `length` weights of a dtype. */
export function allocateBits(dtype: WeightDtype, length: number): WeightBits {
  return dtype === 'F32' ? new Uint32Array(length) : new Uint16Array(length);
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** Rounds a finite number below float16's largest, 65504, to a dtype and returns its bits. */
export function encodeWeight(dtype: WeightDtype, value: number): number {
  single[0] = value;
  const bits = singleBits[0] ?? 0;
  if (dtype === 'F32') return bits;
  if (dtype === 'BF16') return roundOff(bits, 16);
  return encodeHalf(value);
}

// Acklam's rational approximations of the inverse normal distribution (relative error 1.15e-9):
// numerator and denominator of the centre, then of the tails, highest power first.
const CENTRE = [
  -3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2,
  -3.066479806614716e1, 2.506628277459239,
];
const CENTRE_BELOW = [
  -5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1,
  -1.328068155288572e1, 1,
];
const TAIL = [
  -7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734,
  4.374664141464968, 2.938163982698783,
];
const TAIL_BELOW = [
  7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1,
];
const TAIL_STARTS = 0.02425;

function horner(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}

/** Returns the value below which a unit normal falls with probability p, 0 < p < 1. */
export function inverseNormal(p: number): number {
  if (p > 0.5) return -inverseNormal(1 - p);
  if (p < TAIL_STARTS) {
    const q = Math.sqrt(-2 * Math.log(p));
    return horner(TAIL, q) / horner(TAIL_BELOW, q);
  }
  const q = p - 0.5;
  return (horner(CENTRE, q * q) * q) / horner(CENTRE_BELOW, q * q);
}

let unitNormals: Float64Array | undefined;

/** Returns the 65536 bit patterns from which weights of N(mean, std) are drawn. */
export function normalTable(dtype: WeightDtype, mean: number, std: number): WeightBits {
  unitNormals ??= Float64Array.from({ length: TABLE_SIZE }, (_, i) =>
    inverseNormal((i + 0.5) / TABLE_SIZE),
  );
  const table = allocateBits(dtype, TABLE_SIZE);
  unitNormals.forEach((value, i) => {
    table[i] = encodeWeight(dtype, mean + std * value);
  });
  return table;
}

/** FNV-1a over the text, then murmur3's finalizer: 32 well-mixed bits. */
function hashText(text: string, seed: number): number {
  let hash = (seed ^ 0x811c9dc5) >>> 0;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The generator sfc32, seeded by a tensor's key; each 32-bit word chooses two table entries. */
export class WeightRandom {
  private state: [number, number, number, number];

  constructor(key: string, seed: number) {
    this.state = [hashText(key, seed), hashText(`${key}#`, seed), hashText(`#${key}`, seed), 1];
    // sfc32 wants a dozen rounds before its first use; 32 leave a margin.
    this.fill(new Uint16Array(64), new Uint16Array(TABLE_SIZE));
  }

  /** Fills `target` with entries of `table`. Split a tensor only at even positions. */
  fill(target: WeightBits, table: WeightBits): void {
    let [a, b, c, d] = this.state;
    for (let i = 0; i < target.length; i += 2) {
      const word = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (c << 21) | (c >>> 11);
      c = (c + word) | 0;
      target[i] = table[word & 0xffff] ?? 0;
      // The write past the end of an odd length is ignored by the typed array.
      target[i + 1] = table[word >>> 16] ?? 0;
    }
    this.state = [a, b, c, d];
  }
}
