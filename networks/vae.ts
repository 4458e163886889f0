/**
 * The variational autoencoder of latent diffusion (Rombach et al. 2022) as two ONNX graphs.
 * Both run in f32 whatever the file's type: SDXL's overflows in half precision.
 */
import type { VaeConfig } from './checkpoint/config.ts';
import { Graph, type Value, type WeightFile } from './onnx/graph.ts';
import { attend, conv, groupNorm, linear, silu, upsample } from './onnx/ops.ts';
import { withPictureTiles } from './onnx/tiles.ts';

const NORM_EPS = 1e-6;
/** The range diffusers and latent-diffusion clamp the log variance to. */
const LOG_VARIANCE_RANGE = [-30, 20] as const;

/** x + conv2(…conv1(…x)); a branch that ends in zeros is left out, which changes no number. */
function resBlock(g: Graph, name: string, x: Value): Value {
  const skip = g.hasWeight(`${name}.nin_shortcut.weight`) ? conv(g, `${name}.nin_shortcut`, x) : x;
  if (g.isZeroLayer(`${name}.conv2`)) return skip;
  let h = conv(g, `${name}.conv1`, silu(g, groupNorm(g, `${name}.norm1`, x, NORM_EPS)));
  h = conv(g, `${name}.conv2`, silu(g, groupNorm(g, `${name}.norm2`, h, NORM_EPS)));
  return g.op('Add', [h, skip]);
}

/** Single-head self-attention over the pixels of x [b, c, h, w]. */
function pixelAttention(g: Graph, name: string, x: Value): Value {
  const [width] = g.shapeOf(`${name}.norm.weight`) as [number];
  const normal = groupNorm(g, `${name}.norm`, x, NORM_EPS);
  const columns = g.op('Reshape', [normal, g.ints([0, width, -1])]);
  const tokens = g.op('Reshape', [
    g.op('Transpose', [columns], { perm: [0, 2, 1] }),
    g.ints([-1, width]),
  ]);
  const [q, k, v] = ['q', 'k', 'v'].map((part) => linear(g, `${name}.${part}`, tokens)) as [
    Value,
    Value,
    Value,
  ];
  const batch = g.op('Shape', [x], { start: 0, end: 1 });
  const mixed = attend(g, [q, k, v], { heads: 1, width, batch });
  const perPicture = g.op('Concat', [batch, g.ints([-1, width])], { axis: 0 });
  const back = g.op('Reshape', [linear(g, `${name}.proj_out`, mixed), perPicture]);
  const rows = g.op('Transpose', [back], { perm: [0, 2, 1] });
  return g.op('Add', [g.op('Reshape', [rows, g.op('Shape', [x])]), x]);
}

function middle(g: Graph, name: string, x: Value, tiles = false): Value {
  let h = resBlock(g, `${name}.block_1`, x);
  if (g.hasWeight(`${name}.attn_1.norm.weight`)) {
    const [channels] = g.shapeOf(`${name}.attn_1.norm.weight`) as [number];
    const attendTo = (y: Value) => pixelAttention(g, `${name}.attn_1`, y);
    h = tiles ? withPictureTiles(g, h, channels, attendTo) : attendTo(h);
  }
  return resBlock(g, `${name}.block_2`, h);
}

function level(g: Graph, name: string, x: Value): Value {
  let h = x;
  for (let n = 0; g.hasWeight(`${name}.block.${n}.norm1.weight`); n++) {
    h = resBlock(g, `${name}.block.${n}`, h);
    if (g.hasWeight(`${name}.attn.${n}.norm.weight`)) h = pixelAttention(g, `${name}.attn.${n}`, h);
  }
  return h;
}

/**
 * Returns the decoder's graph.
 *
 * Input: `latent` f32 [b, z, h, w], scaled as the UNet has it. Outputs: `pixels` f32 [b, 3, 8h, 8w],
 * about -1 … 1; `rgb` u8 [b, 8h, 8w, 3], clamped and truncated as the web UI does; `sum` f32 [],
 * finite exactly when every pixel is. With `tiles`, that of `pictureTileFeed` too: its attention and
 * the normalisation before it run within tiles of the latent.
 *
 * @throws GraphError when the file lacks a tensor
 */
export function writeVaeDecoder(
  weights: WeightFile,
  config: VaeConfig,
  options: { circular?: boolean; tiles?: boolean } = {},
): Graph {
  const g = new Graph(weights, config.prefix, options);
  const latent = g.input('latent', 'f32', ['b', config.zChannels, 'h', 'w']);
  let h = g.op('Mul', [latent, g.floats([1 / config.scaleFactor], [])]);
  if (config.hasPostQuantConv) h = conv(g, 'post_quant_conv', h);
  h = middle(g, 'decoder.mid', conv(g, 'decoder.conv_in', h), options.tiles);
  for (let l = config.channelMult.length - 1; l >= 0; l--) {
    h = level(g, `decoder.up.${l}`, h);
    if (g.hasWeight(`decoder.up.${l}.upsample.conv.weight`))
      h = conv(g, `decoder.up.${l}.upsample.conv`, upsample(g, h));
  }
  h = conv(g, 'decoder.conv_out', silu(g, groupNorm(g, 'decoder.norm_out', h, NORM_EPS)));
  g.output('pixels', h, 'f32', ['b', 3, 'height', 'width']);
  g.output('sum', g.op('ReduceSum', [h], { keepdims: 0 }), 'f32', []);
  const shifted = g.op('Add', [g.op('Mul', [h, g.floats([127.5], [])]), g.floats([127.5], [])]);
  const bounded = g.op('Clip', [shifted, g.floats([0], []), g.floats([255], [])]);
  const bytes = g.op('Cast', [g.op('Transpose', [bounded], { perm: [0, 2, 3, 1] })], { to: 2 });
  g.output('rgb', bytes, 'u8', ['b', 'height', 'width', 3]);
  return g;
}

/**
 * Returns the encoder's graph.
 *
 * Input: `pixels` f32 [b, 3, H, W], -1 … 1. Outputs: `mean` and `std` f32 [b, z, H/8, W/8] of the
 * posterior, both already multiplied by the scale factor: a latent is mean + std * noise.
 *
 * @throws GraphError when the file lacks a tensor
 */
export function writeVaeEncoder(
  weights: WeightFile,
  config: VaeConfig,
  options: { circular?: boolean } = {},
): Graph {
  const g = new Graph(weights, config.prefix, options);
  let h = conv(g, 'encoder.conv_in', g.input('pixels', 'f32', ['b', 3, 'height', 'width']));
  for (let l = 0; l < config.channelMult.length; l++) {
    h = level(g, `encoder.down.${l}`, h);
    // latent-diffusion pads this convolution at the bottom and the right only.
    if (g.hasWeight(`encoder.down.${l}.downsample.conv.weight`))
      h = conv(g, `encoder.down.${l}.downsample.conv`, h, { stride: 2, pads: [0, 0, 1, 1] });
  }
  h = middle(g, 'encoder.mid', h);
  h = conv(g, 'encoder.conv_out', silu(g, groupNorm(g, 'encoder.norm_out', h, NORM_EPS)));
  if (config.hasQuantConv) h = conv(g, 'quant_conv', h);
  const [mean, logVariance] = g.ops('Split', [h], 2, { axis: 1, num_outputs: 2 }) as [Value, Value];
  const bounded = g.op('Clip', [
    logVariance,
    g.floats([LOG_VARIANCE_RANGE[0]], []),
    g.floats([LOG_VARIANCE_RANGE[1]], []),
  ]);
  const std = g.op('Exp', [g.op('Mul', [bounded, g.floats([0.5], [])])]);
  const scale = g.floats([config.scaleFactor], []);
  const shape = ['b', config.zChannels, 'h', 'w'];
  g.output('mean', g.op('Mul', [mean, scale]), 'f32', shape);
  g.output('std', g.op('Mul', [std, scale]), 'f32', shape);
  return g;
}
