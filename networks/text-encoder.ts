/**
 * CLIP text towers (Radford et al. 2021) as ONNX graphs: Hugging Face's layout and open_clip's,
 * which fuses q, k and v into one in_proj.
 */
import type { TextEncoderConfig } from './checkpoint/config.ts';
import { Graph, type Value, type WeightFile } from './onnx/graph.ts';
import { splitCommonInputs } from './onnx/low-rank.ts';
import { attend, gelu, layerNorm, linear, quickGelu } from './onnx/ops.ts';

/** Below any score; a masked token's weight becomes exactly 0. */
const MASKED = -1e9;

/** Where one layout keeps a block's parts. */
interface Layout {
  tokenTable: string;
  positions: string;
  finalNorm: string;
  block(n: number): string;
  norms: [string, string];
  out: string;
  mlp: [string, string];
  qkv(g: Graph, block: string, x: Value, width: number): [Value, Value, Value];
}

const PARTS = ['q_proj', 'k_proj', 'v_proj'] as const;

const LAYOUTS: Record<TextEncoderConfig['kind'], Layout> = {
  'clip-hf': {
    tokenTable: 'embeddings.token_embedding.weight',
    positions: 'embeddings.position_embedding.weight',
    finalNorm: 'final_layer_norm',
    block: (n) => `encoder.layers.${n}`,
    norms: ['layer_norm1', 'layer_norm2'],
    out: 'self_attn.out_proj',
    mlp: ['mlp.fc1', 'mlp.fc2'],
    qkv: (g, block, x) =>
      PARTS.map((part) => linear(g, `${block}.self_attn.${part}`, x)) as [Value, Value, Value],
  },
  'open-clip': {
    tokenTable: 'token_embedding.weight',
    positions: 'positional_embedding',
    finalNorm: 'ln_final',
    block: (n) => `transformer.resblocks.${n}`,
    norms: ['ln_1', 'ln_2'],
    out: 'attn.out_proj',
    mlp: ['mlp.c_fc', 'mlp.c_proj'],
    qkv: (g, block, x, width) =>
      PARTS.map((part, i) =>
        linear(g, `${block}.attn.${part}`, x, {
          weight: `${block}.attn.in_proj_weight`,
          bias: `${block}.attn.in_proj_bias`,
          rows: [i * width, (i + 1) * width],
          port: `${block}.attn.${part}`,
        }),
      ) as [Value, Value, Value],
  },
};

/** Token and position embeddings, with given vectors in the place of some tokens. */
function embed(g: Graph, config: TextEncoderConfig, layout: Layout, tokens: Value): Value {
  const { width } = config;
  const override = g.input('override', 'f32', ['on', 'ot', width]);
  const isOverridden = g.input('is_overridden', 'bool', ['on', 'ot', 1]);
  const table = g.op('Gather', [g.weight(layout.tokenTable), tokens], { axis: 0 });
  const looked = g.op('Where', [isOverridden, override, table]);
  return g.op('Reshape', [g.op('Add', [looked, g.weight(layout.positions)]), g.ints([-1, width])]);
}

/** Which tokens a token may look at: itself and those before it. f32 [1, 1, n, n]. */
function causalMask(g: Graph, n: number): Value {
  const mask = Float32Array.from({ length: n * n }, (_, i) =>
    i % n > Math.floor(i / n) ? MASKED : 0,
  );
  return g.floats(mask, [1, 1, n, n]);
}

/** The row of each chunk's end token (the largest id, so ArgMax finds it), f32 [n, width]. */
function rowsOfEnd(g: Graph, tokens: Value, normed: Value, config: TextEncoderConfig): Value {
  const position = g.op('ArgMax', [tokens], { axis: 1, keepdims: 1 });
  const chunks = g.op('Reshape', [normed, g.ints([-1, config.tokens, config.width])]);
  return g.op('GatherND', [chunks, position], { batch_dims: 1 });
}

/**
 * Returns a text encoder's graph.
 *
 * Inputs: `tokens` i64 [n, 77]; `override` f32 [n or 1, 77 or 1, width] and `is_overridden` bool
 * [n or 1, 77 or 1, 1] put textual-inversion vectors in the place of tokens; LoRA pairs.
 * Outputs: `hidden.k` f32 [n * 77, width] after k layers (0 = embeddings) and `normed.k`, the same
 * through the final norm, so that every clip skip is there; `pooled` f32 [n, projectionDim], the
 * end token after the last layer and the final norm, projected where the file has a projection.
 *
 * @throws GraphError when the checkpoint lacks a tensor
 */
export function writeTextEncoder(weights: WeightFile, config: TextEncoderConfig): Graph {
  const g = new Graph(weights, config.prefix, { carriesLora: true });
  const layout = LAYOUTS[config.kind];
  const { width, heads } = config;
  const tokens = g.input('tokens', 'i64', ['n', config.tokens]);
  const batch = g.op('Shape', [tokens], { start: 0, end: 1 });
  const mask = causalMask(g, config.tokens);
  const activate = config.activation === 'gelu' ? gelu : quickGelu;
  const expose = (k: number, h: Value): Value => {
    const normed = layerNorm(g, layout.finalNorm, h);
    g.output(`hidden.${k}`, h, 'f32', ['rows', width]);
    g.output(`normed.${k}`, normed, 'f32', ['rows', width]);
    return normed;
  };
  let h = embed(g, config, layout, tokens);
  let normed = expose(0, h);
  for (let n = 0; n < config.layers; n++) {
    const block = layout.block(n);
    const qkv = layout.qkv(g, block, layerNorm(g, `${block}.${layout.norms[0]}`, h), width);
    const mixed = attend(g, qkv, { heads, width, batch, mask });
    h = g.op('Add', [linear(g, `${block}.${layout.out}`, mixed), h]);
    const wide = linear(
      g,
      `${block}.${layout.mlp[0]}`,
      layerNorm(g, `${block}.${layout.norms[1]}`, h),
    );
    h = g.op('Add', [linear(g, `${block}.${layout.mlp[1]}`, activate(g, wide)), h]);
    normed = expose(n + 1, h);
  }
  const end = rowsOfEnd(g, tokens, normed, config);
  // open_clip keeps the projection as [width, projectionDim], used untransposed.
  const pooled = config.hasProjection
    ? config.kind === 'open-clip'
      ? g.op('MatMul', [end, g.weight('text_projection')])
      : g.op('Gemm', [end, g.weight('text_projection.weight')], { transB: 1 })
    : end;
  g.output('pooled', pooled, 'f32', ['n', config.projectionDim]);
  splitCommonInputs(g);
  return g;
}
