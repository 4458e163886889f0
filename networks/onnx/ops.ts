/**
 * The layers that the networks are made of, as ONNX nodes in the forms onnxruntime runs fastest.
 *
 * Tokens are kept flattened as [batch * tokens, channels], so that a Linear is one Gemm; feature
 * maps are [batch, channels, height, width].
 */
import type { Graph, Value } from './graph.ts';
import { lowRankConv, lowRankLinear } from './low-rank.ts';

const LAYER_NORM_EPS = 1e-5;
const NORM_GROUPS = 32;

/** Where a Linear's tensors are when they are not `<name>.weight` and `<name>.bias` as a whole. */
export interface LinearParts {
  weight?: string;
  bias?: string;
  /** Range of output rows to compute, for weights that fuse several projections. */
  rows?: [from: number, to: number];
  /** Name of this part's own LoRA inputs; default: the layer's, of which the rows are taken. */
  port?: string;
}

/**
 * `x Wᵀ + b + (x downᵀ) upᵀ` for x f32 [n, in]; returns [n, rows].
 *
 * A 1x1 convolution's weight [out, in, 1, 1] is taken as the Linear's [out, in].
 */
export function linear(g: Graph, name: string, x: Value, parts: LinearParts = {}): Value {
  const { weight = `${name}.weight`, bias = `${name}.bias` } = parts;
  const [out, inner] = g.shapeOf(weight) as [number, number];
  const rows = parts.rows ?? [0, out];
  const size = rows[1] - rows[0];
  const b = g.hasWeight(bias) ? g.weight(bias, { rows }) : undefined;
  const w = g.weight(weight, { rows, shape: [size, inner] });
  if (!g.carriesLora) return g.op('Gemm', b ? [x, w, b] : [x, w], { transB: 1 });
  const c = parts.port
    ? lowRankLinear(g, parts.port, x, b, inner, size, [0, size])
    : lowRankLinear(g, name, x, b, inner, out, rows);
  return g.op('Gemm', [x, w, c], { transB: 1 });
}

export interface ConvOptions {
  stride?: number;
  /** top, left, bottom, right; default half the kernel on each side. */
  pads?: [number, number, number, number];
}

/** 2-D convolution of x [b, in, h, w]; "same" size for stride 1; returns [b, out, h', w']. */
export function conv(g: Graph, name: string, x: Value, options: ConvOptions = {}): Value {
  const [out, inner, kh, kw] = g.shapeOf(`${name}.weight`) as [number, number, number, number];
  const stride = options.stride ?? 1;
  let pads = options.pads ?? [kh >> 1, kw >> 1, kh >> 1, kw >> 1];
  let source = x;
  if (g.circular && !options.pads && kh > 1) {
    source = g.op('Pad', [x, g.ints([0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]])], {
      mode: 'wrap',
    });
    pads = [0, 0, 0, 0];
  }
  const convolve = (...kernel: Value[]) =>
    g.op('Conv', [source, ...kernel], { kernel_shape: [kh, kw], strides: [stride, stride], pads });
  const bias = g.hasWeight(`${name}.bias`) ? [g.weight(`${name}.bias`)] : [];
  const y = convolve(g.weight(`${name}.weight`), ...bias);
  if (!g.carriesLora) return y;
  return g.op('Add', [y, lowRankConv(g, name, convolve, inner, out, [kh, kw])]);
}

/** Layer normalisation over the last axis of x [n, c] (Ba et al. 2016). */
export function layerNorm(g: Graph, name: string, x: Value, epsilon = LAYER_NORM_EPS): Value {
  return g.op('LayerNormalization', [x, g.weight(`${name}.weight`), g.weight(`${name}.bias`)], {
    axis: -1,
    epsilon: { float: epsilon },
  });
}

/** Group normalisation of x [b, c, h, w] with 32 groups (Wu & He 2018). */
export function groupNorm(g: Graph, name: string, x: Value, epsilon: number): Value {
  const [channels] = g.shapeOf(`${name}.weight`) as [number];
  const ones = g.once('group ones', () => g.floats(new Array(NORM_GROUPS).fill(1), [NORM_GROUPS]));
  const zeros = g.once('group zeros', () =>
    g.floats(new Array(NORM_GROUPS).fill(0), [NORM_GROUPS]),
  );
  const grouped = g.op('Reshape', [x, g.ints([0, NORM_GROUPS, -1])]);
  const normal = g.op('InstanceNormalization', [grouped, ones, zeros], {
    epsilon: { float: epsilon },
  });
  const shaped = g.op('Reshape', [normal, g.op('Shape', [x])]);
  const scaled = g.op('Mul', [shaped, g.weight(`${name}.weight`, { shape: [channels, 1, 1] })]);
  return g.op('Add', [scaled, g.weight(`${name}.bias`, { shape: [channels, 1, 1] })]);
}

/** `x * sigmoid(x)` in one pass. */
export function silu(g: Graph, x: Value): Value {
  return g.op('com.microsoft:QuickGelu', [x], { alpha: { float: 1 } });
}

/** `x * sigmoid(1.702 x)`, the approximation that OpenAI's CLIP was trained with. */
export function quickGelu(g: Graph, x: Value): Value {
  return g.op('com.microsoft:QuickGelu', [x], { alpha: { float: 1.702 } });
}

/** Exact (erf) GELU. */
export function gelu(g: Graph, x: Value): Value {
  return g.op('Gelu', [x], { approximate: 'none' });
}

/** Nearest-neighbour doubling of x [b, c, h, w]. */
export function upsample(g: Graph, x: Value): Value {
  const scales = g.once('scale 2', () => g.floats([1, 1, 2, 2], [4]));
  return g.op('Resize', [x, '', scales], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
}

/**
 * Scaled dot-product attention (Vaswani et al. 2017) with heads side by side.
 *
 * @param q      f32 [b * tokens, heads * width]
 * @param k, v   f32 [b * sourceTokens, heads * width]
 * @param batch  i64 [1]
 * @param mask   added to the scores; f32 [1, 1, tokens, sourceTokens]
 * @returns f32 [b * tokens, heads * width]
 */
export function attend(
  g: Graph,
  [q, k, v]: [Value, Value, Value],
  { heads, width, batch, mask }: { heads: number; width: number; batch: Value; mask?: Value },
): Value {
  const perPicture = g.once(`per picture ${batch} ${width}`, () =>
    g.op('Concat', [batch, g.ints([-1, width])], { axis: 0 }),
  );
  const split = [q, k, v].map((x) => g.op('Reshape', [x, perPicture]));
  const mixed = g.op('com.microsoft:MultiHeadAttention', mask ? [...split, '', '', mask] : split, {
    num_heads: heads,
  });
  return g.op('Reshape', [mixed, g.ints([-1, width])]);
}
