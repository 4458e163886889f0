/** How much a module changes its weight: the Frobenius norm of scale * up · down, without the product. */
import { setImmediate } from 'node:timers/promises';
import { LoraError } from '../errors.ts';
import { type Factors, readFactors } from '../factors.ts';
import { type LoraFile, type LoraModule, readPart, readScale } from '../file.ts';
import { matrixOf, multiply, rebuildCore, sizeOf } from '../kinds/algebra.ts';
import { check, need, type Parts } from '../kinds/kind.ts';
import { first, second } from '../kinds/lokr.ts';
import { readParts, scaleOf } from '../merge.ts';
import type { Part } from '../parts.ts';

/** Largest rank whose norm is exact: the Gram matrices cost rank² * (in + out) / 2. */
const MAX_EXACT_RANK = 64;
/** Random vectors of an estimate above that; its error is about 1 / sqrt(32) of one module's norm. */
const PROBES = 32;
/** Rows of a LoHa that are computed; where there are more, these stand for all. */
const HADAMARD_ROWS = 64;
/** Most numbers of an intermediate product; SDXL's largest layer has 29 million. */
const MAX_PRODUCT = 2 ** 27;

/** Size of a module's change at weight 1. */
export interface ModuleNorm {
  /** Frobenius norm of the change. */
  norm: number;
  /** Numbers in the weight that it changes. */
  count: number;
}

/**
 * Measures a module.
 *
 * Up to rank 64 exactly, as ‖U·D‖² = Σ (Uᵀ·U) ⊙ (D·Dᵀ); above by Hutchinson's estimate, the mean of
 * ‖U·D·z‖² over vectors z of random signs. LoKr exactly, as ‖w1 ⊗ w2‖ = ‖w1‖·‖w2‖. LoHa by 64 rows.
 *
 * @returns null for kinds whose change depends on the checkpoint's weights (DoRA, IA3, GLoRA, OFT),
 *   and for changes of biases and norms
 * @throws LoraError, CheckpointError
 */
export async function measureModule(
  lora: LoraFile,
  module: LoraModule,
): Promise<ModuleNorm | null> {
  if (module.parts.has('dora_scale')) return null;
  refuseHuge(module);
  if (module.kind === 'full') {
    const diff = readPart(lora, module, 'diff');
    if (!diff) return null;
    const scale = readScale(lora, module, null);
    return { norm: Math.abs(scale) * Math.sqrt(sumOfSquares(diff)), count: diff.length };
  }
  if (module.kind === 'loha' || module.kind === 'lokr') {
    const parts = readParts(lora, module);
    const { norm, count } = module.kind === 'loha' ? hadamardNorm(parts) : kroneckerNorm(parts);
    return { norm: Math.abs(scaleOf(lora, module, parts)) * norm, count };
  }
  if (module.kind !== 'lora') return null;
  const factors = readFactors(lora, module);
  const { up, down, rank, scale } = factors;
  const squared = rank <= MAX_EXACT_RANK ? await exactSquare(factors) : estimateSquare(factors);
  return {
    norm: Math.abs(scale) * Math.sqrt(Math.max(0, squared)),
    count: (up.length / rank) * (down.length / rank),
  };
}

function kroneckerNorm(parts: Parts): ModuleNorm {
  const [w1, w2] = [first(parts).data, second(parts).data];
  return {
    norm: Math.sqrt(sumOfSquares(w1) * sumOfSquares(w2)),
    count: w1.length * w2.length,
  };
}

/** (a1·b1) ⊙ (a2·b2), of at most 64 rows that lie evenly among all. */
function hadamardNorm(parts: Parts): ModuleNorm {
  const a1 = need(parts, 'hada_w1_a');
  const out = parts.has('hada_t1') ? matrixOf(a1)[1] : matrixOf(a1)[0];
  const count = Math.min(out, HADAMARD_ROWS);
  const rows = Array.from({ length: count }, (_, i) => Math.floor((i * out) / count));
  const [left, right] = [hadamardRows(parts, '1', rows), hadamardRows(parts, '2', rows)];
  check(left.length === right.length && count > 0, parts);
  const sum = sumOfSquares(left.map((value, i) => value * (right[i] as number)));
  return { norm: Math.sqrt((sum * out) / count), count: (left.length / count) * out };
}

/** Some rows of one of LoHa's two products, f32 [rows, in * kernel]. */
function hadamardRows(parts: Parts, which: '1' | '2', rows: readonly number[]): Float32Array {
  const [a, b] = [need(parts, `hada_w${which}_a`), need(parts, `hada_w${which}_b`)];
  const core = parts.get(`hada_t${which}`);
  const [height, width] = matrixOf(a);
  const data = new Float32Array(rows.length * (core ? height : width));
  check(Math.max(...rows) < (core ? width : height), parts);
  if (!core) {
    check(width === b.shape[0], parts);
    rows.forEach((row, i) => {
      data.set(a.data.subarray(row * width, (row + 1) * width), i * width);
    });
    return multiply({ data, shape: [rows.length, width] }, b);
  }
  check(core.shape[0] === height && core.shape[1] === b.shape[0], parts);
  for (let r = 0; r < height; r++) {
    rows.forEach((column, i) => {
      data[r * rows.length + i] = a.data[r * width + column] as number;
    });
  }
  return rebuildCore(core, { data, shape: [height, rows.length] }, b).data;
}

/**
 * Refuses modules whose products would not fit into memory: no honest layer is near the limit, but
 * a header can claim any size.
 */
function refuseHuge({ parts }: LoraModule): void {
  const shapeOf = (part: Part): readonly number[] => parts.get(part)?.shape ?? [];
  const rows = (part: Part): number => shapeOf(part)[0] ?? 0;
  const columns = (part: Part): number => sizeOf(shapeOf(part).slice(1));
  const kernel = (core: Part): number => sizeOf(shapeOf(core).slice(2));
  /** What `rebuildCore` makes, its intermediate included. */
  const rebuilt = (core: Part, height: number, b: Part): number =>
    Math.max(height, rows(core)) * columns(b) * kernel(core);
  const products = [
    rows('mid') * columns('down') * kernel('mid'),
    rows('lokr_w1_a') * columns('lokr_w1_b'),
    parts.has('lokr_t2')
      ? rebuilt('lokr_t2', columns('lokr_w2_a'), 'lokr_w2_b')
      : rows('lokr_w2_a') * columns('lokr_w2_b'),
    rebuilt('hada_t1', HADAMARD_ROWS, 'hada_w1_b'),
    rebuilt('hada_t2', HADAMARD_ROWS, 'hada_w2_b'),
  ];
  if (products.some((count) => count > MAX_PRODUCT)) {
    throw new LoraError('TOO_LARGE', 'one of its modules is larger than any layer');
  }
}

async function exactSquare({ up, down, rank }: Factors): Promise<number> {
  const a = gram(transpose(up, rank), rank);
  // Each of the two takes tens of milliseconds for the largest layers.
  await setImmediate();
  const b = gram(down, rank);
  let sum = 0;
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j <= i; j++) {
      sum += (i === j ? 1 : 2) * (a[i * rank + j] as number) * (b[i * rank + j] as number);
    }
  }
  return sum;
}

/** f32 [out, rank] → f32 [rank, out], so that what is multiplied lies side by side. */
function transpose(up: Float32Array, rank: number): Float32Array {
  const out = up.length / rank;
  const turned = new Float32Array(up.length);
  for (let o = 0; o < out; o++) {
    for (let r = 0; r < rank; r++) turned[r * out + o] = up[o * rank + r] as number;
  }
  return turned;
}

/** Products of all pairs of rows, the lower triangle of f64 [rank, rank]; rows f32 [rank, n]. */
function gram(rows: Float32Array, rank: number): Float64Array {
  const n = rows.length / rank;
  const products = new Float64Array(rank * rank);
  // Two by two: each number that is read is used twice.
  for (let i = 0; i < rank; i += 2) {
    const a = i * n;
    const b = Math.min(i + 1, rank - 1) * n;
    for (let j = 0; j <= i; j += 2) {
      const c = j * n;
      const d = Math.min(j + 1, rank - 1) * n;
      let [ac, ad, bc, bd] = [0, 0, 0, 0];
      for (let k = 0; k < n; k++) {
        const x = rows[a + k] as number;
        const y = rows[b + k] as number;
        const u = rows[c + k] as number;
        const v = rows[d + k] as number;
        ac += x * u;
        ad += x * v;
        bc += y * u;
        bd += y * v;
      }
      products[i * rank + j] = ac;
      if (j + 1 < rank) products[i * rank + j + 1] = ad;
      if (i + 1 < rank) products[(i + 1) * rank + j] = bc;
      if (i + 1 < rank && j + 1 < rank) products[(i + 1) * rank + j + 1] = bd;
    }
  }
  return products;
}

/** Hutchinson 1989, with the same signs every time. */
function estimateSquare({ up, down, rank }: Factors): number {
  const inner = down.length / rank;
  const out = up.length / rank;
  const signs = new Float32Array(inner);
  const middle = new Float64Array(rank);
  let state = 0x9e3779b9;
  let sum = 0;
  for (let probe = 0; probe < PROBES; probe++) {
    for (let i = 0; i < inner; i++) {
      // Xorshift (Marsaglia 2003).
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      signs[i] = state & 1 ? 1 : -1;
    }
    for (let r = 0; r < rank; r++) {
      let dot = 0;
      for (let i = 0; i < inner; i++) dot += (down[r * inner + i] as number) * (signs[i] as number);
      middle[r] = dot;
    }
    for (let o = 0; o < out; o++) {
      let dot = 0;
      for (let r = 0; r < rank; r++) dot += (up[o * rank + r] as number) * (middle[r] as number);
      sum += dot * dot;
    }
  }
  return sum / PROBES;
}

function sumOfSquares(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2;
  return sum;
}
