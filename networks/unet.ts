/**
 * The UNet of Stable Diffusion 1.x, 2.x and SDXL (Rombach et al. 2022; Podell et al. 2023) as an
 * ONNX graph. Which blocks there are is read from the tensor names, so any width and depth works.
 */
import { countHeads, type UnetConfig } from './checkpoint/config.ts';
import { Graph, type Value, type WeightFile } from './onnx/graph.ts';
import { splitCommonInputs } from './onnx/low-rank.ts';
import { attend, conv, gelu, groupNorm, layerNorm, linear, silu, upsample } from './onnx/ops.ts';
import { splitTiles, withTiles } from './onnx/tiles.ts';
import { openTokenMerging, withMergedTokens } from './onnx/token-merging.ts';

const RES_NORM_EPS = 1e-5;
const TRANSFORMER_NORM_EPS = 1e-6;
const MAX_PERIOD = 10_000;

/** What every block reads beside its feature map. */
interface Shared {
  /** silu(time + label embedding), f32 [b, 4 * modelChannels]. */
  emb: Value;
  /** Text conditioning, f32 [b * tokens, contextDim]. */
  context: Value;
  /** i64 [1]: the batch size. */
  batch: Value;
  config: UnetConfig;
  /** Times that the latent has been halved. */
  level: number;
  /** Whether self-attention runs on merged tokens. */
  mergesTokens: boolean;
  /** Whether self-attention runs within tiles. */
  tiles: boolean;
}

/** f32 [b] timesteps (fractional allowed) to the sinusoidal f32 [b, size], cosines first. */
function timestepEmbedding(g: Graph, timesteps: Value, size: number): Value {
  const half = size / 2;
  const freqs = Float32Array.from({ length: half }, (_, i) =>
    Math.exp((-Math.log(MAX_PERIOD) * i) / half),
  );
  const column = g.op('Reshape', [timesteps, g.ints([-1, 1])]);
  const angles = g.op('Mul', [column, g.floats(freqs, [1, half])]);
  return g.op('Concat', [g.op('Cos', [angles]), g.op('Sin', [angles])], { axis: 1 });
}

function mlp(g: Graph, name: string, x: Value): Value {
  return linear(g, `${name}.2`, silu(g, linear(g, `${name}.0`, x)));
}

function resBlock(g: Graph, name: string, x: Value, { emb }: Shared): Value {
  const first = conv(
    g,
    `${name}.in_layers.2`,
    silu(g, groupNorm(g, `${name}.in_layers.0`, x, RES_NORM_EPS)),
  );
  const shift = g.op('Unsqueeze', [linear(g, `${name}.emb_layers.1`, emb), g.ints([2, 3])]);
  const h = g.op('Add', [first, shift]);
  const second = conv(
    g,
    `${name}.out_layers.3`,
    silu(g, groupNorm(g, `${name}.out_layers.0`, h, RES_NORM_EPS)),
  );
  const skip = g.hasWeight(`${name}.skip_connection.weight`)
    ? conv(g, `${name}.skip_connection`, x)
    : x;
  return g.op('Add', [second, skip]);
}

/** GEGLU feed-forward (Shazeer 2020); the two halves of `proj` are two Gemms, so nothing is split. */
function feedForward(g: Graph, name: string, x: Value): Value {
  const [both] = g.shapeOf(`${name}.net.0.proj.weight`) as [number];
  const value = linear(g, `${name}.net.0.proj`, x, { rows: [0, both / 2] });
  const gate = linear(g, `${name}.net.0.proj`, x, { rows: [both / 2, both] });
  return linear(g, `${name}.net.2`, g.op('Mul', [value, gelu(g, gate)]));
}

/** Attention of x over `source` (x itself: self-attention), both f32 [b * tokens, channels]. */
function attention(
  g: Graph,
  name: string,
  x: Value,
  source: Value,
  heads: number,
  shared: Shared,
): Value {
  const [width] = g.shapeOf(`${name}.to_q.weight`) as [number];
  const q = linear(g, `${name}.to_q`, x);
  const k = linear(g, `${name}.to_k`, source);
  const v = linear(g, `${name}.to_v`, source);
  return linear(g, `${name}.to_out.0`, attend(g, [q, k, v], { heads, width, batch: shared.batch }));
}

function transformerBlock(g: Graph, name: string, x: Value, heads: number, shared: Shared): Value {
  const self = layerNorm(g, `${name}.norm1`, x);
  const [channels] = g.shapeOf(`${name}.norm1.weight`) as [number];
  const { level, batch: pictures } = shared;
  const attendIn = (tokens: Value, batch: Value) =>
    attention(g, `${name}.attn1`, tokens, tokens, heads, { ...shared, batch });
  const attendSelf = (tokens: Value) =>
    shared.tiles
      ? withTiles(g, { name: `${name}.attn1`, channels, level }, tokens, pictures, attendIn)
      : attendIn(tokens, pictures);
  const mixed = shared.mergesTokens
    ? withMergedTokens(g, { metric: x, x: self, batch: pictures, channels }, attendSelf)
    : attendSelf(self);
  let h = g.op('Add', [mixed, x]);
  const cross = layerNorm(g, `${name}.norm2`, h);
  h = g.op('Add', [attention(g, `${name}.attn2`, cross, shared.context, heads, shared), h]);
  return g.op('Add', [feedForward(g, `${name}.ff`, layerNorm(g, `${name}.norm3`, h)), h]);
}

/** Transformer over the pixels of x [b, c, h, w]; a 1x1 convolution in or out runs as a Linear. */
function spatialTransformer(g: Graph, name: string, x: Value, shared: Shared): Value {
  const [channels] = g.shapeOf(`${name}.norm.weight`) as [number];
  const heads = countHeads(shared.config.heads, channels);
  const normal = groupNorm(g, `${name}.norm`, x, TRANSFORMER_NORM_EPS);
  const columns = g.op('Reshape', [normal, g.ints([0, channels, -1])]);
  const tokens = g.op('Reshape', [
    g.op('Transpose', [columns], { perm: [0, 2, 1] }),
    g.ints([-1, channels]),
  ]);
  let h = linear(g, `${name}.proj_in`, tokens);
  for (let d = 0; g.hasWeight(`${name}.transformer_blocks.${d}.norm1.weight`); d++)
    h = transformerBlock(g, `${name}.transformer_blocks.${d}`, h, heads, shared);
  h = linear(g, `${name}.proj_out`, h);
  const perBatch = g.once(`per picture ${shared.batch} ${channels}`, () =>
    g.op('Concat', [shared.batch, g.ints([-1, channels])], { axis: 0 }),
  );
  const rows = g.op('Transpose', [g.op('Reshape', [h, perBatch])], { perm: [0, 2, 1] });
  return g.op('Add', [g.op('Reshape', [rows, g.op('Shape', [x])]), x]);
}

/** Runs `input_blocks.n`, `middle_block` or `output_blocks.n`: its parts in order, each by its kind. */
function block(g: Graph, name: string, x: Value, shared: Shared): Value {
  let h = x;
  for (let part = 0; ; part++) {
    const at = `${name}.${part}`;
    if (g.hasWeight(`${at}.in_layers.0.weight`)) h = resBlock(g, at, h, shared);
    else if (g.hasWeight(`${at}.norm.weight`)) h = spatialTransformer(g, at, h, shared);
    else if (g.hasWeight(`${at}.op.weight`)) h = conv(g, `${at}.op`, h, { stride: 2 });
    else if (g.hasWeight(`${at}.conv.weight`)) h = conv(g, `${at}.conv`, upsample(g, h));
    else if (g.hasWeight(`${at}.weight`)) h = conv(g, at, h);
    else return h;
  }
}

/**
 * Brings h to the height and width of the skip connection it is joined with. They differ by one
 * where an odd size was halved and doubled; the web UI then resizes h, nearest neighbour.
 */
function matchSize(g: Graph, h: Value, skip: Value, n: number): Value {
  const previous = `output_blocks.${n - 1}`;
  const grew = [1, 2].some((part) => g.hasWeight(`${previous}.${part}.conv.weight`));
  if (!grew) return h;
  const channels = g.op('Shape', [h], { start: 0, end: 2 });
  const size = g.op('Shape', [skip], { start: 2, end: 4 });
  return g.op('Resize', [h, '', '', g.op('Concat', [channels, size], { axis: 0 })], {
    mode: 'nearest',
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  });
}

/**
 * Returns the UNet's graph.
 *
 * Inputs: `sample` f32 [b, in, h, w], `timesteps` f32 [b], `context` f32 [b, tokens, contextDim],
 * for SDXL `y` f32 [b, admChannels] (pooled text and size embeddings), and the LoRA pairs of
 * `loraPorts`. Output: `out` f32 [b, 4, h, w], the predicted eps or v. With `mergesTokens`, those of
 * `planTokenMerging` too: it happens where a token is one number of the latent's plane. With `tiles`,
 * that of `tileFeed` for `tiledLayers`, all layers of self-attention.
 *
 * @throws GraphError when the checkpoint lacks a tensor
 */
export function writeUnet(
  weights: WeightFile,
  config: UnetConfig,
  options: { circular?: boolean; mergesTokens?: boolean; tiles?: boolean } = {},
): Graph {
  const g = new Graph(weights, config.prefix, { carriesLora: true, ...options });
  const sample = g.input('sample', 'f32', ['b', config.inChannels, 'h', 'w']);
  const timesteps = g.input('timesteps', 'f32', ['b']);
  const rawContext = g.input('context', 'f32', ['b', 'tokens', config.contextDim]);
  let emb = mlp(g, 'time_embed', timestepEmbedding(g, timesteps, config.modelChannels));
  if (config.admChannels > 0) {
    const y = g.input('y', 'f32', ['b', config.admChannels]);
    emb = g.op('Add', [emb, mlp(g, 'label_emb.0', y)]);
  }
  const shared: Shared = {
    emb: silu(g, emb),
    context: g.op('Reshape', [rawContext, g.ints([-1, config.contextDim])]),
    batch: g.op('Shape', [sample], { start: 0, end: 1 }),
    config,
    level: 0,
    mergesTokens: false,
    tiles: options.tiles ?? false,
  };
  const { mergesTokens = false } = options;
  if (mergesTokens) openTokenMerging(g);
  const onLevel = (level: number): Shared => ({
    ...shared,
    level,
    mergesTokens: mergesTokens && level === 0,
  });
  let level = 0;
  const skips: { skip: Value; level: number }[] = [];
  let h = sample;
  for (let n = 0; hasBlock(g, `input_blocks.${n}`); n++) {
    if (g.hasWeight(`input_blocks.${n}.0.op.weight`)) level++;
    h = block(g, `input_blocks.${n}`, h, onLevel(level));
    skips.push({ skip: h, level });
  }
  h = block(g, 'middle_block', h, onLevel(level));
  for (let n = 0; skips.length > 0; n++) {
    const { skip, level: at } = skips.pop() as (typeof skips)[number];
    h = g.op('Concat', [n > 0 ? matchSize(g, h, skip, n) : h, skip], { axis: 1 });
    h = block(g, `output_blocks.${n}`, h, onLevel(at));
  }
  h = conv(g, 'out.2', silu(g, groupNorm(g, 'out.0', h, RES_NORM_EPS)));
  g.output('out', h, 'f32', ['b', config.outChannels, 'h', 'w']);
  splitCommonInputs(g);
  splitTiles(g);
  return g;
}

function hasBlock(g: Graph, name: string): boolean {
  return ['in_layers.0', 'op', ''].some((part) =>
    g.hasWeight(`${name}.0.${part ? `${part}.` : ''}weight`),
  );
}
