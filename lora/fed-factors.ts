/**
 * Factors as the networks' inputs take them: half precision and a factor per rank, so that a LoRA in
 * memory is as large as its file.
 *
 * What a file has in f16 is fed as it is. Wider numbers are scaled by a power of two per rank, which
 * the rank's factor takes back, and split in two halves of 11 bits each, h + l / 2048: then
 * up · down = uh · dh + ul · dh + uh · dl, three ranks for one, to 2^-22 of a rank's greatest numbers.
 * Of bfloat16, and of f32 files that were made from halves, l is 0 and one rank is enough.
 */
import { decodeHalf, encodeHalf } from '../networks/checkpoint/half.ts';
import { type Factors, lowRankShape } from './factors.ts';
import { type LoraFile, type LoraModule, readHalfPart, readScale } from './file.ts';
import { sizeOf } from './kinds/algebra.ts';
import type { Layer } from './layers.ts';

/** One module's pair, ready to be fed. */
export interface FedFactors {
  /** Ranks that are fed. */
  rank: number;
  /** How many of them, side by side, stand for one of the module's: 1 to 3. */
  terms: number;
  /** f16 [rank, in * kernel]. */
  down: Uint16Array;
  /** f16 [out, rank]. */
  up: Uint16Array;
  /** alpha / rank, or what stands in its place. */
  scale: number;
  /** What each rank is multiplied with besides: powers of two, f32 [rank]; null for 1. */
  powers: Float32Array | null;
}

/**
 * Reads the factors of a module of kind `lora` whose file has them in f16 and in the layer's sizes.
 *
 * @returns null when they have to be computed
 * @throws LoraError SHAPE_CONTRADICTION, RANK_TOO_LARGE, NOT_FINITE; CheckpointError
 */
export function readFedFactors(
  lora: LoraFile,
  module: LoraModule,
  layer: Layer,
): FedFactors | null {
  const { rank, out, in: inner, kernel } = lowRankShape(module);
  const isWhole =
    !module.parts.has('mid') &&
    out === layer.out &&
    inner * sizeOf(kernel) === layer.in * sizeOf(layer.kernel);
  const isHalf = (['up', 'down'] as const).every((part) => module.parts.get(part)?.dtype === 'F16');
  if (!isWhole || !isHalf) return null;
  return {
    rank,
    terms: 1,
    down: readHalfPart(lora, module, 'down'),
    up: readHalfPart(lora, module, 'up'),
    scale: readScale(lora, module, rank),
    powers: null,
  };
}

/** Makes factors of f32 ready to be fed. */
export function packFactors({ rank, down, up, scale }: Factors): FedFactors {
  const downs = split(down, rank, [down.length / rank, 1]);
  const ups = split(up, rank, [1, rank]);
  const terms: Term[] = [{ down: downs.high, up: ups.high, power: 1 }];
  if (ups.low) terms.push({ down: downs.high, up: ups.low, power: 1 / LOW });
  if (downs.low) terms.push({ down: downs.low, up: ups.high, power: 1 / LOW });
  const powers = downs.powers.flatMap((power, r) =>
    terms.map((term) => term.power * power * (ups.powers[r] as number)),
  );
  return {
    rank: rank * terms.length,
    terms: terms.length,
    down: interleaveRows(terms, rank),
    up: interleaveColumns(terms),
    scale,
    powers: Float32Array.from(powers),
  };
}

/** One of the products that a product of wider numbers is the sum of. */
interface Term {
  down: Uint16Array;
  up: Uint16Array;
  power: number;
}

/** What the lower halves are multiplied with: an f16 holds 11 bits. */
const LOW = 2 ** 11;
/** Binary exponent that a rank's greatest number gets; f16 ends below 2^16. */
const TOP = 14;
/** The step of the smallest f16: what is lost below it is 2^-38 of a rank's greatest number. */
const LEAST = 2 ** -24;

/**
 * Splits numbers in halves, rank by rank.
 *
 * @param strides  between two ranks, and between two numbers of a rank
 * @returns `low`, `LOW` times what `high` leaves, is null when it leaves nothing; `powers` take the
 *   ranks' scales back
 */
function split(
  values: Float32Array,
  rank: number,
  [step, stride]: [number, number],
): { high: Uint16Array; low: Uint16Array | null; powers: number[] } {
  const high = new Uint16Array(values.length);
  let low: Uint16Array | null = null;
  const powers: number[] = [];
  for (let r = 0; r < rank; r++) {
    const end = r * step + (values.length / rank) * stride;
    let max = 0;
    for (let i = r * step; i < end; i += stride) max = Math.max(max, Math.abs(values[i] as number));
    const factor = max > 0 ? 2 ** (TOP - Math.floor(Math.log2(max))) : 1;
    powers.push(1 / factor);
    for (let i = r * step; i < end; i += stride) {
      const value = (values[i] as number) * factor;
      const code = encodeHalf(value);
      const left = value - decodeHalf(code);
      high[i] = code;
      if (Math.abs(left) <= LEAST) continue;
      low ??= new Uint16Array(values.length);
      low[i] = encodeHalf(left * LOW);
    }
  }
  return { high, low, powers };
}

function interleaveRows(terms: readonly Term[], rank: number): Uint16Array {
  const [first] = terms as [Term];
  if (terms.length === 1) return first.down;
  const width = first.down.length / rank;
  const rows = new Uint16Array(first.down.length * terms.length);
  for (let r = 0; r < rank; r++) {
    terms.forEach(({ down }, t) => {
      rows.set(down.subarray(r * width, (r + 1) * width), (r * terms.length + t) * width);
    });
  }
  return rows;
}

function interleaveColumns(terms: readonly Term[]): Uint16Array {
  const [first] = terms as [Term];
  if (terms.length === 1) return first.up;
  const columns = new Uint16Array(first.up.length * terms.length);
  terms.forEach(({ up }, t) => {
    for (let i = 0; i < up.length; i++) columns[i * terms.length + t] = up[i] as number;
  });
  return columns;
}
