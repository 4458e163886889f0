/**
 * Upscalers as ONNX graphs: RRDBNet (ESRGAN, Wang et al. 2018; Real-ESRGAN, Wang et al. 2021) and
 * SRVGGNetCompact (Real-ESRGAN).
 */
import { Graph, type Value, type WeightFile } from '../onnx/graph.ts';
import { conv } from '../onnx/ops.ts';
import { type CompactConfig, layerName, type RrdbConfig, type UpscalerConfig } from './config.ts';

const COLOURS = 3;
/** What the residual branches count for. */
const RESIDUAL_SCALE = 0.2;
const LEAKY_SLOPE = 0.2;
const DENSE_BLOCKS = 3;
const DENSE_CONVS = 5;
const MAX_BYTE = 255;

/**
 * Returns an upscaler's graph.
 *
 * Input: `image` u8 [1, h, w, 3], RGB; h and w multiples of `config.unshuffle`. Outputs: `pixels` f32
 * [1, 3, scale h, scale w], about 0 … 1; `rgb` u8 [1, scale h, scale w, 3], clamped and rounded; `sum`
 * f32 [], finite exactly when every pixel is.
 *
 * @throws GraphError when the file lacks a tensor
 */
export function writeUpscaler(weights: WeightFile, config: UpscalerConfig): Graph {
  const g = new Graph(weights, config.prefix);
  const image = g.input('image', 'u8', [1, 'h', 'w', COLOURS]);
  const floats = g.op('Cast', [g.op('Transpose', [image], { perm: [0, 3, 1, 2] })], { to: 1 });
  const x = g.op('Div', [floats, g.floats([MAX_BYTE], [])]);
  const y = config.architecture === 'rrdb' ? rrdbNet(g, config, x) : compact(g, config, x);
  g.output('pixels', y, 'f32', [1, COLOURS, 'height', 'width']);
  g.output('sum', g.op('ReduceSum', [y], { keepdims: 0 }), 'f32', []);
  const scaled = g.op('Mul', [y, g.floats([MAX_BYTE], [])]);
  const bounded = g.op('Clip', [
    g.op('Round', [scaled]),
    g.floats([0], []),
    g.floats([MAX_BYTE], []),
  ]);
  const bytes = g.op('Cast', [g.op('Transpose', [bounded], { perm: [0, 2, 3, 1] })], { to: 2 });
  g.output('rgb', bytes, 'u8', [1, 'height', 'width', COLOURS]);
  return g;
}

function rrdbNet(g: Graph, config: RrdbConfig, x: Value): Value {
  const { layout, upFactors } = config;
  const first = conv(g, layout.first, pixelUnshuffle(g, x, config.unshuffle));
  let h = first;
  for (let n = 0; n < config.blocks; n++) h = residualBlock(g, config, n, h);
  h = g.op('Add', [first, conv(g, layout.trunk, h)]);
  for (const [i, name] of layout.ups.entries()) {
    const { factor, isShuffled } = upFactors[i] ?? { factor: 1, isShuffled: false };
    h = isShuffled
      ? pixelShuffle(g, conv(g, name, h), factor)
      : conv(g, name, enlarge(g, h, factor));
    h = leaky(g, h);
  }
  return conv(g, layout.last, leaky(g, conv(g, layout.high, h)));
}

/** A residual-in-residual dense block: three dense blocks, each and all of them added at a fifth. */
function residualBlock(g: Graph, config: RrdbConfig, n: number, x: Value): Value {
  let h = x;
  for (let k = 1; k <= DENSE_BLOCKS; k++) h = addResidual(g, denseBlock(g, config, n, k, h), h);
  return addResidual(g, h, x);
}

/** Five convolutions, each of which sees the block's input and what those before it gave. */
function denseBlock(g: Graph, config: RrdbConfig, n: number, k: number, x: Value): Value {
  const { layout, hasShortcuts } = config;
  const seen = [x];
  for (let c = 1; c < DENSE_CONVS; c++) {
    const input = seen.length > 1 ? g.op('Concat', [...seen], { axis: 1 }) : x;
    let h = leaky(g, conv(g, layerName(layout.dense, n, k, c), input));
    // nESRGAN+ (Rakotonirina & Rasoanaivo 2020) adds two more residuals inside the block.
    if (hasShortcuts && c === 2) h = g.op('Add', [h, conv(g, layerName(layout.shortcut, n, k), x)]);
    if (hasShortcuts && c === 4) h = g.op('Add', [h, seen[2] as Value]);
    seen.push(h);
  }
  const all = g.op('Concat', seen, { axis: 1 });
  return conv(g, layerName(layout.dense, n, k, DENSE_CONVS), all);
}

/** SRVGGNetCompact: plain convolutions with PReLU; what they find is added to the enlarged input. */
function compact(g: Graph, config: CompactConfig, x: Value): Value {
  let h = x;
  for (let i = 0; i < config.lastIndex; i += 2) {
    const slope = g.weight(`body.${i + 1}.weight`, { shape: [config.width, 1, 1] });
    h = g.op('PRelu', [conv(g, `body.${i}`, h), slope]);
  }
  const found = pixelShuffle(g, conv(g, `body.${config.lastIndex}`, h), config.scale);
  return g.op('Add', [found, enlarge(g, x, config.scale)]);
}

function leaky(g: Graph, x: Value): Value {
  return g.op('LeakyRelu', [x], { alpha: { float: LEAKY_SLOPE } });
}

function addResidual(g: Graph, branch: Value, x: Value): Value {
  const share = g.once('residual scale', () => g.floats([RESIDUAL_SCALE], []));
  return g.op('Add', [g.op('Mul', [branch, share]), x]);
}

/** Repeats every pixel of x [b, c, h, w] `factor` times each way. */
function enlarge(g: Graph, x: Value, factor: number): Value {
  if (factor === 1) return x;
  const scales = g.once(`scale ${factor}`, () => g.floats([1, 1, factor, factor], [4]));
  return g.op('Resize', [x, '', scales], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
}

/** [b, c r², h, w] to [b, c, h r, w r] in PyTorch's order of channels. */
function pixelShuffle(g: Graph, x: Value, r: number): Value {
  return r === 1 ? x : g.op('DepthToSpace', [x], { blocksize: r, mode: 'CRD' });
}

/** The inverse: [b, 3, h r, w r] to [b, 3 r², h, w], which ONNX has in the other order only. */
function pixelUnshuffle(g: Graph, x: Value, r: number): Value {
  if (r === 1) return x;
  const size = g.op('Shape', [x], { start: 2, end: 4 });
  const [height, width] = g.ops('Split', [g.op('Div', [size, g.ints([r])])], 2, {
    axis: 0,
    num_outputs: 2,
  }) as [Value, Value];
  const shape = [g.ints([1, COLOURS]), height, g.ints([r]), width, g.ints([r])];
  const split = g.op('Reshape', [x, g.op('Concat', shape, { axis: 0 })]);
  const moved = g.op('Transpose', [split], { perm: [0, 1, 3, 5, 2, 4] });
  const merged = [g.ints([1, COLOURS * r * r]), height, width];
  return g.op('Reshape', [moved, g.op('Concat', merged, { axis: 0 })]);
}
