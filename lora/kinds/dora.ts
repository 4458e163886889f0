/** DoRA (Liu et al. 2024): length and direction of the weight's columns (or rows) apart. */
import { sizeOf, type Tensor } from './algebra.ts';
import { check, type Parts } from './kind.ts';

/** Keeps a column of zeros from being divided by 0. */
const SMALLEST_NORM = Number.EPSILON;

/**
 * Returns V · dora_scale / ‖V‖ - W with V = W + change.
 *
 * The shape of dora_scale tells what the norm is taken of: [1, in, …] each input channel (the web UI,
 * LyCORIS by default once), [out, 1, …] or [out] each output row (PEFT, LyCORIS with wd_on_out).
 *
 * @param weight  f32 [out, in, …kernel]
 * @param change  scaled ΔW, as many numbers
 */
export function decompose(weight: Tensor, change: Float32Array, parts: Parts): Float32Array {
  const scale = parts.get('dora_scale') as Tensor;
  const [out = 0, inner = 1, ...kernel] = weight.shape;
  const perChannel = sizeOf(kernel);
  const isPerRow = scale.shape[0] === out && scale.data.length === out;
  check(isPerRow || scale.data.length === inner, parts);
  const channelOf = (i: number): number => {
    const channel = Math.floor(i / perChannel);
    return isPerRow ? Math.floor(channel / inner) : channel % inner;
  };
  const squares = new Float64Array(scale.data.length);
  const changed = weight.data.map((value, i) => value + (change[i] as number));
  for (let i = 0; i < changed.length; i++) {
    const at = channelOf(i);
    squares[at] = (squares[at] as number) + (changed[i] as number) ** 2;
  }
  const factors = scale.data.map(
    (value, at) => value / (Math.sqrt(squares[at] as number) + SMALLEST_NORM),
  );
  return changed.map(
    (value, i) => value * (factors[channelOf(i)] as number) - (weight.data[i] as number),
  );
}
