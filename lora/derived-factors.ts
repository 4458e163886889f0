/**
 * Kinds that are low-rank without being stored so: their exact factors, as long as the rank stays
 * small enough to beat merging. As inputs they cost no rebuilt session and their weight is free.
 *
 * Hadamard: (a1·b1) ⊙ (a2·b2) = up · down with up[o, ij] = a1[o, i]·a2[o, j], down[ij, ·] = b1[i, ·]·b2[j, ·].
 * Kronecker: w1 ⊗ (a·b) = (w1 ⊗ a) · (I ⊗ b) = (I ⊗ a) · (w1 ⊗ b), whichever rank is smaller.
 */
import type { Factors } from './factors.ts';
import type { LoraModule } from './file.ts';
import { kronecker, matrixOf, type Tensor } from './kinds/algebra.ts';
import { check, need, type Parts } from './kinds/kind.ts';
import { first } from './kinds/lokr.ts';
import type { Part } from './parts.ts';

/**
 * Largest rank that is made: LoHa up to dim 11. Products of halves are
 * wider than halves, so up to three ranks are fed for one; 2.7 GB for all of SDXL then.
 */
export const MAX_DERIVED_RANK = 128;

/** Parts that make more of a module than a product of two factors. */
const EXTRAS: readonly Part[] = ['dora_scale', 'bias', 'diff_b'];

/** Whether a module can run as a pair of inputs: a plain LoRA, or one with derived factors. */
export function isLowRank(module: LoraModule): boolean {
  if (module.kind === 'lora') return EXTRAS.every((part) => !module.parts.has(part));
  return derivedRank(module) !== null;
}

/** The rank that a module's exact factors would have; null when it has none that are small. */
export function derivedRank({ kind, parts }: LoraModule): number | null {
  if (EXTRAS.some((part) => parts.has(part))) return null;
  const rows = (part: Part): number => parts.get(part)?.shape[0] ?? 0;
  let rank = 0;
  if (kind === 'loha' && !parts.has('hada_t1') && !parts.has('hada_t2')) {
    rank = rows('hada_w1_b') * rows('hada_w2_b');
  } else if (kind === 'lokr' && parts.has('lokr_w2_a') && !parts.has('lokr_t2')) {
    const columns = parts.get(parts.has('lokr_w1') ? 'lokr_w1' : 'lokr_w1_b')?.shape[1] ?? 0;
    rank =
      rows('lokr_w2_b') * Math.min(rows(parts.has('lokr_w1') ? 'lokr_w1' : 'lokr_w1_a'), columns);
  }
  return rank > 0 && rank <= MAX_DERIVED_RANK ? rank : null;
}

/**
 * Returns the factors of a module for which `derivedRank` is not null.
 *
 * @param scale  `scale`, alpha / dim or 1
 * @throws LoraError SHAPE_CONTRADICTION
 */
export function deriveFactors(module: LoraModule, parts: Parts, scale: number): Factors {
  const pair = module.kind === 'loha' ? hadamardFactors(parts) : kroneckerFactors(parts);
  return { ...pair, scale };
}

function hadamardFactors(parts: Parts): Omit<Factors, 'scale'> {
  const [a1, b1] = [need(parts, 'hada_w1_a'), need(parts, 'hada_w1_b')];
  const [a2, b2] = [need(parts, 'hada_w2_a'), need(parts, 'hada_w2_b')];
  const [out, r1] = matrixOf(a1);
  const [, r2] = matrixOf(a2);
  const [, width] = matrixOf(b1);
  const fits = b1.shape[0] === r1 && b2.shape[0] === r2 && a2.shape[0] === out;
  check(fits && matrixOf(b2)[1] === width, parts);
  const rank = r1 * r2;
  const up = new Float32Array(out * rank);
  const down = new Float32Array(rank * width);
  for (let i = 0; i < r1; i++) {
    for (let j = 0; j < r2; j++) {
      const r = i * r2 + j;
      for (let o = 0; o < out; o++) {
        up[o * rank + r] = (a1.data[o * r1 + i] as number) * (a2.data[o * r2 + j] as number);
      }
      for (let c = 0; c < width; c++) {
        down[r * width + c] =
          (b1.data[i * width + c] as number) * (b2.data[j * width + c] as number);
      }
    }
  }
  return { rank, up, down };
}

function kroneckerFactors(parts: Parts): Omit<Factors, 'scale'> {
  const w1 = first(parts);
  const [a, b] = [need(parts, 'lokr_w2_a'), need(parts, 'lokr_w2_b')];
  const [n, m] = matrixOf(w1);
  const [, r] = matrixOf(a);
  check(b.shape[0] === r, parts);
  const flatB = { data: b.data, shape: [r, matrixOf(b)[1]] };
  const isWide = n < m;
  const up = kronecker(isWide ? identity(n) : w1, a);
  const down = kronecker(isWide ? w1 : identity(m), flatB);
  return { rank: Math.min(n, m) * r, up, down };
}

function identity(n: number): Tensor {
  const data = new Float32Array(n * n);
  for (let i = 0; i < n; i++) data[i * n + i] = 1;
  return { data, shape: [n, n] };
}
