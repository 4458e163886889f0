/** Tensors of the two text encoder layouts: transformers' CLIPTextModel and open_clip's text tower. */
import { linear, norm, RESIDUAL_GAIN, type TensorSpec } from './tensors.ts';

export interface TextEncoderShape {
  /** Heads are always 64 wide, so this is a multiple of 64. */
  width: number;
  layers: number;
}

const VOCABULARY = 49408;
const POSITIONS = 77;
/** ln(1 / 0.01), CLIP's upper bound, at which every released model stands. */
const LOGIT_SCALE = 4.6052;

function embeddings(tokenKey: string, positionKey: string, width: number): TensorSpec[] {
  return [
    {
      key: tokenKey,
      shape: [VOCABULARY, width],
      fill: { kind: 'normal', mean: 0, std: 0.03 },
    },
    {
      key: positionKey,
      shape: [POSITIONS, width],
      fill: { kind: 'normal', mean: 0, std: 0.01 },
    },
  ];
}

/** Lists the tensors of transformers' CLIPTextModel; keys start with `text_model.`. */
export function clipTensors(shape: TextEncoderShape, withBuffers: boolean): TensorSpec[] {
  const { width, layers } = shape;
  const tensors = embeddings(
    'text_model.embeddings.token_embedding.weight',
    'text_model.embeddings.position_embedding.weight',
    width,
  );
  if (withBuffers) {
    tensors.push({
      key: 'text_model.embeddings.position_ids',
      shape: [1, POSITIONS],
      fill: { kind: 'data', dtype: 'I64', values: Array.from({ length: POSITIONS }, (_, i) => i) },
    });
  }
  for (let index = 0; index < layers; index++) {
    const layer = `text_model.encoder.layers.${index}`;
    tensors.push(
      ...norm(`${layer}.layer_norm1`, width),
      ...['q_proj', 'k_proj', 'v_proj'].flatMap((name) =>
        linear(`${layer}.self_attn.${name}`, width, width),
      ),
      ...linear(`${layer}.self_attn.out_proj`, width, width, { gain: RESIDUAL_GAIN }),
      ...norm(`${layer}.layer_norm2`, width),
      ...linear(`${layer}.mlp.fc1`, 4 * width, width),
      ...linear(`${layer}.mlp.fc2`, width, 4 * width, { gain: RESIDUAL_GAIN }),
    );
  }
  tensors.push(...norm('text_model.final_layer_norm', width));
  return tensors;
}

/** Lists the tensors of open_clip's text tower: q, k and v fused, projection as [in, out]. */
export function openClipTensors(shape: TextEncoderShape, withBuffers: boolean): TensorSpec[] {
  const { width, layers } = shape;
  const tensors = embeddings('token_embedding.weight', 'positional_embedding', width);
  for (let index = 0; index < layers; index++) {
    const layer = `transformer.resblocks.${index}`;
    tensors.push(
      ...norm(`${layer}.ln_1`, width),
      {
        key: `${layer}.attn.in_proj_weight`,
        shape: [3 * width, width],
        fill: { kind: 'fan-in', gain: 1 },
      },
      {
        key: `${layer}.attn.in_proj_bias`,
        shape: [3 * width],
        fill: { kind: 'normal', mean: 0, std: 0.02 },
      },
      ...linear(`${layer}.attn.out_proj`, width, width, { gain: RESIDUAL_GAIN }),
      ...norm(`${layer}.ln_2`, width),
      ...linear(`${layer}.mlp.c_fc`, 4 * width, width),
      ...linear(`${layer}.mlp.c_proj`, width, 4 * width, { gain: RESIDUAL_GAIN }),
    );
  }
  tensors.push(...norm('ln_final', width), {
    key: 'text_projection',
    shape: [width, width],
    fill: { kind: 'fan-in', gain: 1 },
  });
  if (withBuffers) {
    tensors.push({
      key: 'logit_scale',
      shape: [],
      fill: { kind: 'normal', mean: LOGIT_SCALE, std: 0 },
    });
  }
  return tensors;
}
