/** How much a module changes its weight: the Frobenius norm of scale * up · down, without the product. */
import { derivedRank, deriveFactors } from '../derived-factors.ts';
import { type Factors, readFactors } from '../factors.ts';
import { type LoraFile, type LoraModule, readPart, readScale } from '../file.ts';
import { readParts, scaleOf } from '../merge.ts';

/** Largest rank whose norm is exact: the Gram matrices cost rank² * (in + out) / 2. */
const MAX_EXACT_RANK = 64;
/** Random vectors of an estimate above that; its error is about 1 / sqrt(32) of one module's norm. */
const PROBES = 32;

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
 * ‖U·D·z‖² over vectors z of random signs.
 *
 * @returns null for kinds whose change depends on the checkpoint's weights (DoRA, IA3, GLoRA, OFT)
 *   or has no small factors
 * @throws LoraError, CheckpointError
 */
export function measureModule(lora: LoraFile, module: LoraModule): ModuleNorm | null {
  if (module.parts.has('dora_scale')) return null;
  if (module.kind === 'full') {
    const diff = readPart(lora, module, 'diff');
    if (!diff) return null;
    const scale = readScale(lora, module, null);
    return { norm: Math.abs(scale) * Math.sqrt(sumOfSquares(diff)), count: diff.length };
  }
  const factors = readAnyFactors(lora, module);
  if (!factors) return null;
  const { up, down, rank, scale } = factors;
  const squared = rank <= MAX_EXACT_RANK ? exactSquare(factors) : estimateSquare(factors);
  return {
    norm: Math.abs(scale) * Math.sqrt(Math.max(0, squared)),
    count: (up.length / rank) * (down.length / rank),
  };
}

function readAnyFactors(lora: LoraFile, module: LoraModule): Factors | null {
  if (module.kind === 'lora') return readFactors(lora, module);
  if (derivedRank(module) === null) return null;
  const parts = readParts(lora, module);
  return deriveFactors(module, parts, scaleOf(lora, module, parts));
}

function exactSquare({ up, down, rank }: Factors): number {
  const a = gram(transpose(up, rank), rank);
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
