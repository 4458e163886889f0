/** Tensors of the LDM UNet (`model.diffusion_model.*`), keys as OpenAI's guided-diffusion numbers them. */
import { conv, linear, norm, RESIDUAL_GAIN, type TensorSpec } from './tensors.ts';

export interface UnetShape {
  /** Channels of the first level; the time embedding is four times as wide. */
  modelChannels: number;
  /** Channels of each level, in units of `modelChannels`. */
  multipliers: readonly number[];
  /** Transformer blocks at each level; 0 = no attention there. */
  depths: readonly number[];
  middleDepth: number;
  /** Width of the text vectors the cross attention reads. */
  contextWidth: number;
  /** Whether proj_in and proj_out are Linear (SD 2, SDXL) or 1x1 convolutions (SD 1). */
  hasLinearProjections: boolean;
  /** Width of the SDXL size-and-pooled vector; 0 = none. */
  labelWidth: number;
  gains: UnetGains;
}

/** Gains of the layers that decide how much the result depends on the text and on the latent. */
export interface UnetGains {
  /** Queries of the cross attention: above 1, single tokens stand out. */
  contextQuery: number;
  /** What the cross attention adds. */
  context: number;
  /** The last convolution. */
  output: number;
}

const LATENT_CHANNELS = 4;
const RES_BLOCKS_PER_LEVEL = 2;

function resBlock(key: string, inputs: number, outputs: number, embedding: number): TensorSpec[] {
  return [
    ...norm(`${key}.in_layers.0`, inputs),
    ...conv(`${key}.in_layers.2`, outputs, inputs, 3),
    ...linear(`${key}.emb_layers.1`, outputs, embedding),
    ...norm(`${key}.out_layers.0`, outputs),
    ...conv(`${key}.out_layers.3`, outputs, outputs, 3, RESIDUAL_GAIN),
    ...(inputs === outputs ? [] : conv(`${key}.skip_connection`, outputs, inputs, 1)),
  ];
}

function attention(
  key: string,
  channels: number,
  context: number,
  { query = 1, result = RESIDUAL_GAIN } = {},
): TensorSpec[] {
  return [
    ...linear(`${key}.to_q`, channels, channels, { bias: false, gain: query }),
    ...linear(`${key}.to_k`, channels, context, { bias: false }),
    ...linear(`${key}.to_v`, channels, context, { bias: false }),
    ...linear(`${key}.to_out.0`, channels, channels, { gain: result }),
  ];
}

function transformer(key: string, channels: number, depth: number, shape: UnetShape): TensorSpec[] {
  const text = { query: shape.gains.contextQuery, result: shape.gains.context };
  const blocks = Array.from({ length: depth }, (_, index) => {
    const block = `${key}.transformer_blocks.${index}`;
    return [
      ...attention(`${block}.attn1`, channels, channels),
      ...attention(`${block}.attn2`, channels, shape.contextWidth, text),
      ...linear(`${block}.ff.net.0.proj`, 8 * channels, channels),
      ...linear(`${block}.ff.net.2`, channels, 4 * channels, { gain: RESIDUAL_GAIN }),
      ...norm(`${block}.norm1`, channels),
      ...norm(`${block}.norm2`, channels),
      ...norm(`${block}.norm3`, channels),
    ];
  }).flat();
  const project = (name: string, gain: number) =>
    shape.hasLinearProjections
      ? linear(`${key}.${name}`, channels, channels, { gain })
      : conv(`${key}.${name}`, channels, channels, 1, gain);
  return [
    ...norm(`${key}.norm`, channels),
    ...project('proj_in', 1),
    ...blocks,
    ...project('proj_out', RESIDUAL_GAIN),
  ];
}

/**
 * Lists every tensor of a UNet, without the `model.diffusion_model.` prefix.
 *
 * @param shape       widths and depths
 * @param inChannels  4; 9 with inpainting's mask and masked picture, 8 with instruct's picture
 */
export function unetTensors(shape: UnetShape, inChannels: number): TensorSpec[] {
  const { modelChannels, multipliers, depths } = shape;
  const embedding = 4 * modelChannels;
  const last = multipliers.length - 1;
  const tensors = [
    ...linear('time_embed.0', embedding, modelChannels),
    ...linear('time_embed.2', embedding, embedding),
    ...conv('input_blocks.0.0', modelChannels, inChannels, 3),
  ];
  if (shape.labelWidth > 0) {
    tensors.push(...linear('label_emb.0.0', embedding, shape.labelWidth));
    tensors.push(...linear('label_emb.0.2', embedding, embedding));
  }
  // Channels of every input block's result: the output blocks take them back in reverse.
  const skips = [modelChannels];
  let channels = modelChannels;
  multipliers.forEach((multiplier, level) => {
    const depth = depths[level] ?? 0;
    for (let block = 0; block < RES_BLOCKS_PER_LEVEL; block++) {
      const key = `input_blocks.${skips.length}`;
      tensors.push(...resBlock(`${key}.0`, channels, multiplier * modelChannels, embedding));
      channels = multiplier * modelChannels;
      if (depth > 0) tensors.push(...transformer(`${key}.1`, channels, depth, shape));
      skips.push(channels);
    }
    if (level !== last) {
      tensors.push(...conv(`input_blocks.${skips.length}.0.op`, channels, channels, 3));
      skips.push(channels);
    }
  });
  tensors.push(
    ...resBlock('middle_block.0', channels, channels, embedding),
    ...transformer('middle_block.1', channels, shape.middleDepth, shape),
    ...resBlock('middle_block.2', channels, channels, embedding),
  );
  let number = 0;
  for (let level = last; level >= 0; level--) {
    const outputs = (multipliers[level] ?? 1) * modelChannels;
    const depth = depths[level] ?? 0;
    for (let block = 0; block <= RES_BLOCKS_PER_LEVEL; block++) {
      const key = `output_blocks.${number++}`;
      tensors.push(...resBlock(`${key}.0`, channels + (skips.pop() ?? 0), outputs, embedding));
      channels = outputs;
      if (depth > 0) tensors.push(...transformer(`${key}.1`, channels, depth, shape));
      if (level > 0 && block === RES_BLOCKS_PER_LEVEL) {
        tensors.push(...conv(`${key}.${depth > 0 ? 2 : 1}.conv`, channels, channels, 3));
      }
    }
  }
  tensors.push(
    ...norm('out.0', channels),
    ...conv('out.2', LATENT_CHANNELS, channels, 3, shape.gains.output),
  );
  return tensors;
}
