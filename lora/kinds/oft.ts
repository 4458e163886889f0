/**
 * OFT (Qiu et al. 2023) and BOFT (Liu et al. 2023): W's rows turned by orthogonal blocks.
 *
 * PEFT turns columns; see `peft-rotations.ts`. A block is stored as B with Q = B - Bᵀ and R = (I + Q)(I - Q)⁻¹ (Cayley), or as R itself (oft_diag).
 */
import { LoraError } from '../errors.ts';
import { invert, matrixOf, type Tensor } from './algebra.ts';
import { check, checkBlockWidth, type KindRule, type Parts } from './kind.ts';
import { turnColumns } from './peft-rotations.ts';

export const oft: KindRule = {
  dim: () => null,
  delta(weight, parts) {
    if (parts.has('oft_R') || parts.has('boft_R')) {
      const turned = turnColumns(weight, parts);
      return turned.map((value, i) => value - (weight.data[i] as number));
    }
    const blocks = (parts.get('oft_blocks') ?? parts.get('oft_diag')) as Tensor;
    const turned =
      blocks.shape.length === 4
        ? butterfly(weight, blocks, parts)
        : diagonal(weight, blocks, parts);
    const [out, columns] = matrixOf(weight);
    const rescale = parts.get('rescale')?.data;
    check(!rescale || rescale.length === out, parts);
    return turned.map((value, i) => {
      const row = Math.floor(i / columns);
      return value * (rescale?.[row] ?? 1) - (weight.data[i] as number);
    });
  },
};

/** blocks [k, n, n]: row m of block k becomes Σ_n R[k, n, m] · row n. */
function diagonal(weight: Tensor, blocks: Tensor, parts: Parts): Float32Array {
  const [k = 0, n = 0, width = 0] = blocks.shape;
  const [out, columns] = matrixOf(weight);
  check(blocks.shape.length === 3 && n === width && k * n === out, parts);
  const rotations = parts.has('oft_blocks')
    ? rotationsOf(blocks.data, n, clampOf(blocks.data, n, out, parts))
    : Float64Array.from(blocks.data);
  const turned = new Float32Array(weight.data.length);
  for (let block = 0; block < k; block++) {
    for (let from = 0; from < n; from++) {
      const source = (block * n + from) * columns;
      for (let to = 0; to < n; to++) {
        const factor = rotations[(block * n + from) * n + to] as number;
        const target = (block * n + to) * columns;
        for (let c = 0; c < columns; c++) {
          turned[target + c] =
            (turned[target + c] as number) + factor * (weight.data[source + c] as number);
        }
      }
    }
  }
  return turned;
}

/**
 * blocks [m, k, b, b]: m stages; in stage i rows are gathered so that those 2^i · b/2 apart meet in one
 * block, turned, and put back.
 */
function butterfly(weight: Tensor, blocks: Tensor, parts: Parts): Float32Array {
  const [stages = 0, k = 0, b = 0, width = 0] = blocks.shape;
  const [out, columns] = matrixOf(weight);
  check(b === width && b % 2 === 0 && k * b === out && out % (2 ** stages * (b / 2)) === 0, parts);
  const rotations = rotationsOf(blocks.data, b, clampOf(blocks.data, b, out, parts));
  let rows = weight.data;
  for (let stage = 0; stage < stages; stage++) {
    const half = 2 ** stage * (b / 2);
    const place = new Uint32Array(out);
    for (let c = 0, at = 0; at < out; c++) {
      for (let x = 0; x < half; x++) {
        for (let g = 0; g < 2; g++) place[at++] = c * 2 * half + g * half + x;
      }
    }
    const next = new Float32Array(rows.length);
    for (let at = 0; at < out; at++) {
      const block = Math.floor(at / b);
      const target = (place[at] as number) * columns;
      for (let j = 0; j < b; j++) {
        const factor = rotations[((stage * k + block) * b + (at % b)) * b + j] as number;
        const source = (place[block * b + j] as number) * columns;
        for (let c = 0; c < columns; c++) {
          next[target + c] = (next[target + c] as number) + factor * (rows[source + c] as number);
        }
      }
    }
    rows = next;
  }
  return rows;
}

/** By how much Q is made smaller so that its norm is at most alpha · out; 1 when alpha is 0 or absent. */
function clampOf(blocks: Float32Array, n: number, out: number, parts: Parts): number {
  const limit = (parts.get('alpha')?.data[0] ?? 0) * out;
  if (limit === 0) return 1;
  let sum = 0;
  for (let i = 0; i < blocks.length; i++) sum += skew(blocks, n, i) ** 2;
  const norm = Math.sqrt(sum);
  return (Math.min(norm, limit) + 1e-8) / (norm + 1e-8);
}

/** Element i of B - Bᵀ, of blocks of n × n one after the other. */
function skew(blocks: Float32Array, n: number, i: number): number {
  const start = Math.floor(i / (n * n)) * n * n;
  const [row, column] = [Math.floor((i - start) / n), (i - start) % n];
  return (blocks[i] as number) - (blocks[start + column * n + row] as number);
}

function rotationsOf(blocks: Float32Array, n: number, factor: number): Float64Array {
  checkBlockWidth(n);
  const out = new Float64Array(blocks.length);
  for (let start = 0; start < blocks.length; start += n * n) {
    const plus = new Float64Array(n * n);
    const minus = new Float64Array(n * n);
    for (let i = 0; i < n * n; i++) {
      const q = skew(blocks, n, start + i) * factor;
      const one = Math.floor(i / n) === i % n ? 1 : 0;
      plus[i] = one + q;
      minus[i] = one - q;
    }
    const inverse = invert(minus, n);
    if (!inverse) throw new LoraError('NOT_FINITE', 'one of its rotations cannot be computed');
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let k = 0; k < n; k++) {
          sum += (plus[i * n + k] as number) * (inverse[k * n + j] as number);
        }
        out[start + i * n + j] = sum;
      }
    }
  }
  return out;
}
