/** Whether a module can be of a layer, by the shapes of its tensors alone. */
import { fitsLayer, isForLatentOnly, lowRankShape } from './factors.ts';
import type { LoraModule } from './file.ts';
import { sizeOf } from './kinds/algebra.ts';
import { blockWidth } from './kinds/peft-rotations.ts';
import type { Layer } from './layers.ts';
import type { Part } from './parts.ts';

/**
 * Compares a module with a layer, before any data is read.
 *
 * @returns null when it fits, else the module's size and the layer's as text, e.g. `640x768`
 * @throws LoraError SHAPE_CONTRADICTION when the parts of a `lora` do not fit one another
 */
export function compareSizes(module: LoraModule, layer: Layer): [string, string] | null {
  const wanted = [layer.out, ...(layer.isNorm ? [] : [layer.in]), ...layer.kernel];
  const differs = (own: readonly number[]): [string, string] => [own.join('x'), wanted.join('x')];
  if (module.kind === 'lora') {
    const shape = lowRankShape(module);
    const own = [shape.out, shape.in, ...shape.kernel];
    return fitsLayer(shape, layer) ? null : differs(own);
  }
  const shapeOf = (part: Part): readonly number[] => module.parts.get(part)?.shape ?? [];
  if (module.kind === 'ia3') {
    const length = sizeOf(shapeOf(module.parts.has('ia3_l') ? 'ia3_l' : 'weight'));
    return length === layer.in || length === layer.out ? null : differs([length]);
  }
  const own = outlineOf(module, shapeOf);
  if (own.out !== null && own.out !== layer.out) return differs([own.out, ...(own.rest ?? [])]);
  const columns = layer.isNorm ? 1 : layer.in * sizeOf(layer.kernel);
  const given = own.rest && sizeOf(own.rest);
  if (own.rest && given !== null && given !== columns && !isForLatentOnly(given, layer))
    return differs([own.out ?? 0, ...own.rest]);
  const bias = module.parts.get('diff_b') ?? module.parts.get('b_norm');
  const hasBias = !bias || (layer.bias !== null && sizeOf(bias.shape) === layer.out);
  return hasBias ? null : differs([sizeOf(bias.shape)]);
}

/** Numbers in a row of the weight that a module changes; null where its shapes do not say. */
export function columnsOf(module: LoraModule): number | null {
  if (module.kind === 'lora') {
    const { in: inner, kernel } = lowRankShape(module);
    return inner * sizeOf(kernel);
  }
  const { rest } = outlineOf(module, (part) => module.parts.get(part)?.shape ?? []);
  return rest && sizeOf(rest);
}

/** What the shapes say of W: rows, and the sizes behind them; null where they say nothing. */
interface Outline {
  out: number | null;
  rest: readonly number[] | null;
}

function outlineOf(
  { kind, parts }: LoraModule,
  shapeOf: (part: Part) => readonly number[],
): Outline {
  switch (kind) {
    case 'loha': {
      const [a, b] = [shapeOf('hada_w1_a'), shapeOf('hada_w1_b')];
      if (!parts.has('hada_t1')) return { out: a[0] ?? 0, rest: b.slice(1) };
      return { out: a[1] ?? 0, rest: [b[1] ?? 0, ...shapeOf('hada_t1').slice(2)] };
    }
    case 'lokr': {
      const first = parts.has('lokr_w1')
        ? shapeOf('lokr_w1')
        : [shapeOf('lokr_w1_a')[0] ?? 0, shapeOf('lokr_w1_b')[1] ?? 0];
      const second = secondOfLokr(parts, shapeOf);
      const out = (first[0] ?? 0) * (second[0] ?? 0);
      return { out, rest: [(first[1] ?? 0) * (second[1] ?? 0), ...second.slice(2)] };
    }
    case 'full':
      if (!parts.has('diff')) return { out: null, rest: null };
      return { out: shapeOf('diff')[0] ?? 0, rest: shapeOf('diff').slice(1) };
    case 'norm':
      return { out: sizeOf(shapeOf('w_norm')), rest: [1] };
    case 'oft': {
      if (parts.has('oft_R')) {
        const [k = 0, count = 0] = shapeOf('oft_R');
        return { out: null, rest: k === 1 ? null : [k * blockWidth(count)] };
      }
      if (parts.has('boft_R')) {
        const [, k = 0, width = 0] = shapeOf('boft_R');
        return { out: sizeOf(shapeOf('boft_s')), rest: [k * width] };
      }
      const blocks = parts.has('oft_blocks') ? shapeOf('oft_blocks') : shapeOf('oft_diag');
      return { out: (blocks.at(-3) ?? 0) * (blocks.at(-1) ?? 0), rest: null };
    }
    case 'glora': {
      // Which of the two is [out, rank] changed between versions; see `kinds/glora.ts`.
      const sides = [shapeOf('b1')[0] ?? 0, shapeOf('b2')[0] ?? 0];
      return { out: Math.max(...sides), rest: null };
    }
    default:
      return { out: null, rest: null };
  }
}

function secondOfLokr(
  parts: LoraModule['parts'],
  shapeOf: (part: Part) => readonly number[],
): readonly number[] {
  if (parts.has('lokr_w2')) return shapeOf('lokr_w2');
  const [a, b] = [shapeOf('lokr_w2_a'), shapeOf('lokr_w2_b')];
  if (!parts.has('lokr_t2')) return [a[0] ?? 0, ...b.slice(1)];
  return [a[1] ?? 0, b[1] ?? 0, ...shapeOf('lokr_t2').slice(2)];
}
