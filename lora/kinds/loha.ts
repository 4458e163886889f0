/** LoHa (Hyeon-Woo et al. 2021): ΔW = (w1a · w1b) ⊙ (w2a · w2b), each factor with or without a core. */
import { matrixOf, multiply, rebuildCore, type Tensor } from './algebra.ts';
import { check, type KindRule, need, type Parts } from './kind.ts';

export const loha: KindRule = {
  dim: (parts) => need(parts, 'hada_w1_b').shape[0] ?? null,
  delta(weight, parts) {
    const [first, second] = [factor(parts, 1), factor(parts, 2)];
    check(first.length === weight.data.length && second.length === first.length, parts);
    return first.map((value, i) => value * (second[i] as number));
  },
};

function factor(parts: Parts, n: 1 | 2): Float32Array {
  const a = need(parts, `hada_w${n}_a`);
  const b = need(parts, `hada_w${n}_b`);
  const core = parts.get(`hada_t${n}`);
  if (core) {
    const fits = core.shape[0] === a.shape[0] && core.shape[1] === b.shape[0];
    check(fits && core.shape.length >= 2, parts);
    return rebuildCore(core, a, b).data;
  }
  check(inner(a) === b.shape[0], parts);
  return multiply(a, b);
}

const inner = (a: Tensor): number => matrixOf(a)[1];
