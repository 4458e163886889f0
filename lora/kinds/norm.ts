/** Differences of a norm's weight and bias. */
import { check, type KindRule, need } from './kind.ts';

export const norm: KindRule = {
  dim: () => null,
  delta(weight, parts) {
    const difference = need(parts, 'w_norm');
    check(difference.data.length === weight.data.length, parts);
    return difference.data;
  },
};
