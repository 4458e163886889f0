/** LoKr (Yeh et al. 2023): ΔW = w1 ⊗ w2, each whole or as two factors, w2 also with a core. */
import { kronecker, matrixOf, multiply, rebuildCore, type Tensor } from './algebra.ts';
import { check, type KindRule, need, type Parts } from './kind.ts';

export const lokr: KindRule = {
  dim: (parts) => (parts.get('lokr_w2_b') ?? parts.get('lokr_w1_b'))?.shape[0] ?? null,
  delta(weight, parts) {
    const [w1, w2] = [first(parts), second(parts)];
    check(w1.data.length * w2.data.length === weight.data.length, parts);
    return kronecker(w1, w2);
  },
};

/** w1 [n, m]. */
export function first(parts: Parts): Tensor {
  return parts.get('lokr_w1') ?? product(parts, 'lokr_w1_a', 'lokr_w1_b');
}

/** w2 [p, q, …kernel]; a kernel that the second factor has flattened stays in q. */
export function second(parts: Parts): Tensor {
  const whole = parts.get('lokr_w2');
  if (whole) return whole;
  const core = parts.get('lokr_t2');
  if (!core) return product(parts, 'lokr_w2_a', 'lokr_w2_b');
  const [a, b] = [need(parts, 'lokr_w2_a'), need(parts, 'lokr_w2_b')];
  const fits = core.shape[0] === a.shape[0] && core.shape[1] === b.shape[0];
  check(fits && core.shape.length >= 2, parts);
  return rebuildCore(core, a, b);
}

function product(
  parts: Parts,
  left: 'lokr_w1_a' | 'lokr_w2_a',
  right: 'lokr_w1_b' | 'lokr_w2_b',
): Tensor {
  const [a, b] = [need(parts, left), need(parts, right)];
  check(matrixOf(a)[1] === b.shape[0], parts);
  return { data: multiply(a, b), shape: [a.shape[0] ?? 0, ...b.shape.slice(1)] };
}
