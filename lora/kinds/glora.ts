/**
 * GLoRA (Chavan et al. 2023): ΔW = W · a + b, each of a and b a product of two factors.
 *
 * LyCORIS has turned the names round: a1 [in, r] · a2 [r, in] and b1 [out, r] · b2 [r, in] now, a2 · a1
 * and b2 · b1 before (the web UI knows only those). The shapes tell. Scaled with alpha / dim as LyCORIS
 * trains it; the web UI takes 1, which is the same for most files.
 */
import { matrixOf, multiply, sizeOf, type Tensor } from './algebra.ts';
import { check, type KindRule, need, type Parts } from './kind.ts';

export const glora: KindRule = {
  dim: (parts) => {
    const [a1, a2] = [need(parts, 'a1').shape, need(parts, 'a2').shape];
    return Math.min(a1[0] ?? 0, a2[0] ?? 0);
  },
  delta(weight, parts) {
    const [out = 0, inner = 1, ...kernel] = weight.shape;
    const size = sizeOf(kernel);
    const isNew = need(parts, 'b1').shape[0] === out && need(parts, 'a1').shape[0] === inner;
    const a = product(parts, isNew ? ['a1', 'a2'] : ['a2', 'a1']);
    const delta = product(parts, isNew ? ['b1', 'b2'] : ['b2', 'b1']);
    check(a.length === inner * inner && delta.length === weight.data.length, parts);
    for (let row = 0; row < out; row++) {
      for (let i = 0; i < inner; i++) {
        const from = (row * inner + i) * size;
        for (let j = 0; j < inner; j++) {
          const factor = a[i * inner + j] as number;
          const to = (row * inner + j) * size;
          for (let k = 0; k < size; k++) {
            delta[to + k] = (delta[to + k] as number) + factor * (weight.data[from + k] as number);
          }
        }
      }
    }
    return delta;
  },
};

function product(
  parts: Parts,
  names: ['a1' | 'a2' | 'b1' | 'b2', 'a1' | 'a2' | 'b1' | 'b2'],
): Float32Array {
  const [left, right] = names.map((name) => need(parts, name)) as [Tensor, Tensor];
  check(matrixOf(left)[1] === right.shape[0], parts);
  return multiply(left, right);
}
