/** A full difference: ΔW = diff. A module may also hold the difference of the bias alone. */
import { check, type KindRule } from './kind.ts';

export const full: KindRule = {
  dim: () => null,
  delta(weight, parts) {
    const diff = parts.get('diff');
    if (!diff) return new Float32Array(weight.data.length);
    check(diff.data.length === weight.data.length, parts);
    return diff.data;
  },
};
