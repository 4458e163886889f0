/**
 * (IA)³ (Liu et al. 2022). LyCORIS stores what is added to a factor of 1 and changes the weight alone; PEFT
 * stores the factor (`ia3_l`), and one of the outputs is of the bias, too.
 */
import { sizeOf, type Tensor } from './algebra.ts';
import { check, type KindRule, need } from './kind.ts';

export const ia3: KindRule = {
  dim: () => null,
  delta(weight, parts) {
    const own = parts.get('ia3_l');
    const factors = own ? own.data.map((x) => x - 1) : need(parts, 'weight').data;
    const [out = 0, inner = 1, ...kernel] = weight.shape;
    const isOnInput = own ? !isOnOutput(own, out) : parts.get('on_input')?.data[0] === 1;
    check(factors.length === (isOnInput ? inner : out), parts);
    const perChannel = sizeOf(kernel);
    return weight.data.map((value, i) => {
      const channel = Math.floor(i / perChannel);
      const at = isOnInput ? channel % inner : Math.floor(channel / inner);
      return value * (factors[at] as number);
    });
  },
  biasDelta(bias, parts) {
    const own = parts.get('ia3_l');
    if (!own || !isOnOutput(own, bias.length)) return null;
    return bias.map((value, i) => value * ((own.data[i] as number) - 1));
  },
};

/** Whether PEFT's factors are of the outputs. Linear layers: [out, 1] or [1, in]. Convolutions: [1, n, 1, 1], of the outputs where both are n. */
export function isOnOutput({ shape }: Pick<Tensor, 'shape'>, out: number): boolean {
  return shape.length === 2 ? shape[0] === out && shape[1] === 1 : sizeOf(shape) === out;
}
