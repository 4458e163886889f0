/**
 * A BLIP captioning model (Li et al. 2022) as two ONNX graphs: what looks at the picture once, and
 * what says the next word, again and again.
 */
import { Graph, type Value, type WeightFile } from '../onnx/graph.ts';
import { attend, gelu, layerNorm, linear } from '../onnx/ops.ts';
import { type CaptionerConfig, HEAD, TEXT, VISION } from './config.ts';

/** CLIP's mean and deviation of RGB, 0 … 1, which the model was trained with. */
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const DEVIATION = [0.26862954, 0.26130258, 0.27577711];
const MAX_BYTE = 255;
const COLOURS = 3;
/** BERT's, smaller than the vision model's. */
const TEXT_NORM_EPS = 1e-12;

/**
 * Returns the graph that looks at a picture.
 *
 * Input: `image` u8 [1, side, side, 3], RGB. Outputs: `states` f32 [patches + 1, width], and for every
 * layer n of the text decoder what it attends to: `key.n` and `value.n`, f32 [patches + 1, text width].
 *
 * @throws GraphError when the file lacks a tensor
 */
export function writeCaptionerVision(weights: WeightFile, config: CaptionerConfig): Graph {
  const g = new Graph(weights, '');
  const { width, layers, heads, side } = config.vision;
  const batch = g.ints([1]);
  let h = embedPatches(g, g.input('image', 'u8', [1, side, side, COLOURS]), config);
  for (let n = 0; n < layers; n++) {
    const block = `${VISION}.encoder.layers.${n}`;
    const normed = layerNorm(g, `${block}.layer_norm1`, h);
    const qkv = [0, 1, 2].map((i) =>
      linear(g, `${block}.self_attn.qkv`, normed, { rows: [i * width, (i + 1) * width] }),
    ) as [Value, Value, Value];
    const mixed = attend(g, qkv, { heads, width, batch });
    h = g.op('Add', [linear(g, `${block}.self_attn.projection`, mixed), h]);
    const wide = gelu(g, linear(g, `${block}.mlp.fc1`, layerNorm(g, `${block}.layer_norm2`, h)));
    h = g.op('Add', [linear(g, `${block}.mlp.fc2`, wide), h]);
  }
  const states = layerNorm(g, `${VISION}.post_layernorm`, h);
  g.output('states', states, 'f32', ['tokens', width]);
  for (let n = 0; n < config.text.layers; n++) {
    for (const part of ['key', 'value']) {
      const attended = `${TEXT}.encoder.layer.${n}.crossattention.self.${part}`;
      g.output(`${part}.${n}`, linear(g, attended, states), 'f32', ['tokens', config.text.width]);
    }
  }
  return g;
}

/** Patches as tokens behind the class token, each with its position; f32 [patches + 1, width]. */
function embedPatches(g: Graph, image: Value, { vision: { width } }: CaptionerConfig): Value {
  const name = `${VISION}.embeddings`;
  const floats = g.op('Cast', [g.op('Transpose', [image], { perm: [0, 3, 1, 2] })], { to: 1 });
  const centred = g.op('Sub', [
    g.op('Div', [floats, g.floats([MAX_BYTE], [])]),
    g.floats(MEAN, [COLOURS, 1, 1]),
  ]);
  const pixels = g.op('Div', [centred, g.floats(DEVIATION, [COLOURS, 1, 1])]);
  const [, , patch = 0] = g.shapeOf(`${name}.patch_embedding.weight`);
  const patches = g.op(
    'Conv',
    [pixels, g.weight(`${name}.patch_embedding.weight`), g.weight(`${name}.patch_embedding.bias`)],
    { kernel_shape: [patch, patch], strides: [patch, patch] },
  );
  const rows = g.op('Transpose', [g.op('Reshape', [patches, g.ints([width, -1])])], {
    perm: [1, 0],
  });
  const first = g.weight(`${name}.class_embedding`, { shape: [1, width] });
  const tokens = g.op('Concat', [first, rows], { axis: 0 });
  const [, count = 0] = g.shapeOf(`${name}.position_embedding`);
  const places = g.weight(`${name}.position_embedding`, { shape: [count, width] });
  return g.op('Add', [tokens, places]);
}

/**
 * Returns the graph that says the next word.
 *
 * Inputs: `tokens` i64 [n], `positions` i64 [n] (0 … n - 1), `mask` f32 [1, 1, n, n] added to the scores,
 * and `key.k`, `value.k` of every layer from the vision graph. Output: `logits` f32 [1, tokens] of what
 * follows the last one.
 *
 * @throws GraphError when the file lacks a tensor
 */
export function writeCaptionerText(weights: WeightFile, { text }: CaptionerConfig): Graph {
  const g = new Graph(weights, '');
  const { width, layers, heads } = text;
  const batch = g.ints([1]);
  const tokens = g.input('tokens', 'i64', ['n']);
  const positions = g.input('positions', 'i64', ['n']);
  const mask = g.input('mask', 'f32', [1, 1, 'n', 'n']);
  const norm = (name: string, x: Value) => layerNorm(g, name, x, TEXT_NORM_EPS);
  const table = (name: string, ids: Value) =>
    g.op('Gather', [g.weight(`${TEXT}.embeddings.${name}.weight`), ids], { axis: 0 });
  const embedded = g.op('Add', [
    table('word_embeddings', tokens),
    table('position_embeddings', positions),
  ]);
  let h = norm(`${TEXT}.embeddings.LayerNorm`, embedded);
  const finish = (name: string, mixed: Value) => {
    const out = linear(g, `${name}.output.dense`, mixed);
    h = norm(`${name}.output.LayerNorm`, g.op('Add', [out, h]));
  };
  for (let n = 0; n < layers; n++) {
    const block = `${TEXT}.encoder.layer.${n}`;
    const own = ['query', 'key', 'value'].map((part) =>
      linear(g, `${block}.attention.self.${part}`, h),
    ) as [Value, Value, Value];
    finish(`${block}.attention`, attend(g, own, { heads, width, batch, mask }));
    const seen = ['key', 'value'].map((part) =>
      g.input(`${part}.${n}`, 'f32', ['source', width]),
    ) as [Value, Value];
    const query = linear(g, `${block}.crossattention.self.query`, h);
    finish(`${block}.crossattention`, attend(g, [query, ...seen], { heads, width, batch }));
    finish(block, gelu(g, linear(g, `${block}.intermediate.dense`, h)));
  }
  const last = g.op('Gather', [h, g.ints([-1])], { axis: 0 });
  const wide = gelu(g, linear(g, `${HEAD}.transform.dense`, last));
  const ready = norm(`${HEAD}.transform.LayerNorm`, wide);
  const logits = linear(g, HEAD, ready, { weight: text.head, bias: text.headBias });
  g.output('logits', logits, 'f32', [1, text.tokens]);
  return g;
}
