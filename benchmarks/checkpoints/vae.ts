/** Tensors of the LDM autoencoder (`first_stage_model.*`). */
import { conv, norm, RESIDUAL_GAIN, type TensorSpec } from './tensors.ts';

export interface VaeShape {
  /** Channels of the first level. */
  channels: number;
  /** Channels of each level in units of `channels`; four levels make the factor 8. */
  multipliers: readonly number[];
}

const LATENT_CHANNELS = 4;
const RES_BLOCKS_PER_LEVEL = 2;

function resBlock(key: string, inputs: number, outputs: number): TensorSpec[] {
  return [
    ...norm(`${key}.norm1`, inputs),
    ...conv(`${key}.conv1`, outputs, inputs, 3),
    ...norm(`${key}.norm2`, outputs),
    ...conv(`${key}.conv2`, outputs, outputs, 3, RESIDUAL_GAIN),
    ...(inputs === outputs ? [] : conv(`${key}.nin_shortcut`, outputs, inputs, 1)),
  ];
}

function middle(key: string, channels: number): TensorSpec[] {
  const attention = `${key}.attn_1`;
  return [
    ...resBlock(`${key}.block_1`, channels, channels),
    ...norm(`${attention}.norm`, channels),
    ...['q', 'k', 'v'].flatMap((name) => conv(`${attention}.${name}`, channels, channels, 1)),
    ...conv(`${attention}.proj_out`, channels, channels, 1, RESIDUAL_GAIN),
    ...resBlock(`${key}.block_2`, channels, channels),
  ];
}

/** Lists every tensor of encoder, decoder and the two 1x1 convolutions around the latent, unprefixed. */
export function vaeTensors({ channels, multipliers }: VaeShape): TensorSpec[] {
  const last = multipliers.length - 1;
  const top = channels * (multipliers[last] ?? 1);
  const tensors = conv('encoder.conv_in', channels, 3, 3);
  let width = channels;
  multipliers.forEach((multiplier, level) => {
    const key = `encoder.down.${level}`;
    for (let block = 0; block < RES_BLOCKS_PER_LEVEL; block++) {
      tensors.push(...resBlock(`${key}.block.${block}`, width, channels * multiplier));
      width = channels * multiplier;
    }
    if (level !== last) tensors.push(...conv(`${key}.downsample.conv`, width, width, 3));
  });
  tensors.push(
    ...middle('encoder.mid', top),
    ...norm('encoder.norm_out', top),
    ...conv('encoder.conv_out', 2 * LATENT_CHANNELS, top, 3, 0.5),
    ...conv('decoder.conv_in', top, LATENT_CHANNELS, 3),
    ...middle('decoder.mid', top),
  );
  for (let level = last; level >= 0; level--) {
    const key = `decoder.up.${level}`;
    const outputs = channels * (multipliers[level] ?? 1);
    for (let block = 0; block <= RES_BLOCKS_PER_LEVEL; block++) {
      tensors.push(...resBlock(`${key}.block.${block}`, width, outputs));
      width = outputs;
    }
    if (level > 0) tensors.push(...conv(`${key}.upsample.conv`, width, width, 3));
  }
  tensors.push(
    ...norm('decoder.norm_out', width),
    ...conv('decoder.conv_out', 3, width, 3, 0.5),
    ...conv('quant_conv', 2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS, 1),
    ...conv('post_quant_conv', LATENT_CHANNELS, LATENT_CHANNELS, 1),
  );
  return tensors;
}
