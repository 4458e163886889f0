/** (IA)³ (Liu et al. 2022) as LyCORIS stores it: ΔW = W scaled per input or per output channel. */
import { sizeOf } from './algebra.ts';
import { check, type KindRule, need } from './kind.ts';

export const ia3: KindRule = {
  dim: () => null,
  delta(weight, parts) {
    const factors = need(parts, 'weight').data;
    const [out = 0, inner = 1, ...kernel] = weight.shape;
    const isOnInput = parts.get('on_input')?.data[0] === 1;
    check(factors.length === (isOnInput ? inner : out), parts);
    const perChannel = sizeOf(kernel);
    return weight.data.map((value, i) => {
      const channel = Math.floor(i / perChannel);
      const at = isOnInput ? channel % inner : Math.floor(channel / inner);
      return value * (factors[at] as number);
    });
  },
};
