import type { Family, VaeConfig } from './config.ts';
import { CheckpointError } from './errors.ts';
import type { SafetensorsFile } from './safetensors.ts';
import {
  checkNothingLeft,
  checkTensors,
  type ExpectedTensors,
  hasTensor,
  shapeOf,
} from './shapes.ts';

/** What `latent / scaleFactor` brings back to the VAE's own range: Rombach 2022; Podell 2023. */
export const SD_SCALE_FACTOR = 0.18215;
export const SDXL_SCALE_FACTOR = 0.13025;

/** More levels than any VAE has. */
const MAX_LEVELS = 16;
/** Channels of the latent that all UNets here work in. */
const LATENT_CHANNELS = 4;

/** What the names of layers start with, after the prefix; `loss.*` and the like are not used. */
const VAE_LAYERS = /^(encoder|decoder)\./;

/** The factor that goes with a family's latents; no tensor of a VAE tells it. */
export function scaleFactorOf(family: Family): number {
  return family === 'sd1' || family === 'sd2' ? SD_SCALE_FACTOR : SDXL_SCALE_FACTOR;
}

/**
 * Reads a VAE's structure from tensor names and shapes, then checks that all of it is there.
 *
 * @param prefix  what stands before `decoder.`
 * @param family  whose latents it is for; decides the scale factor
 * @throws CheckpointError VAE_INCOMPLETE, VAE_KIND or SHAPE_CONTRADICTION
 */
export function readVaeConfig(file: SafetensorsFile, prefix: string, family: Family): VaeConfig {
  const [, zChannels = 0] = shapeOf(file, `${prefix}decoder.conv_in.weight`, 4, 'VAE_INCOMPLETE');
  if (zChannels !== LATENT_CHANNELS) {
    throw new CheckpointError(
      'VAE_KIND',
      file.path,
      `The VAE has ${zChannels} latent channels (Flux and SD 3 have 16); this server needs ${LATENT_CHANNELS}.`,
    );
  }
  const [, channels = 0] = shapeOf(file, `${prefix}decoder.conv_out.weight`, 4, 'VAE_INCOMPLETE');
  const widths = readWidths(file, prefix);
  const config: VaeConfig = {
    prefix,
    // The first level of every AutoencoderKL here has multiplier 1: its width is the unit.
    channels,
    channelMult: widths.map((width) => width / channels),
    resBlocks: countResBlocks(file, prefix) - 1,
    zChannels,
    scaleFactor: scaleFactorOf(family),
    hasEncoder: hasTensor(file, `${prefix}encoder.conv_in.weight`),
    hasAttention: hasTensor(file, `${prefix}decoder.mid.attn_1.q.weight`),
    hasQuantConv: hasTensor(file, `${prefix}quant_conv.weight`),
    hasPostQuantConv: hasTensor(file, `${prefix}post_quant_conv.weight`),
  };
  const expected = expectedVaeTensors(config);
  checkTensors(file, expected, 'VAE_INCOMPLETE', 'the VAE');
  checkNothingLeft(file, expected, prefix, VAE_LAYERS, 'The VAE');
  return config;
}

function readWidths(file: SafetensorsFile, prefix: string): number[] {
  const widths: number[] = [];
  for (let level = 0; level < MAX_LEVELS; level++) {
    const at = `${prefix}decoder.up.${level}`;
    if (!hasTensor(file, `${at}.block.0.conv2.weight`)) break;
    if (hasTensor(file, `${at}.attn.0.q.weight`)) {
      throw new CheckpointError(
        'VAE_KIND',
        file.path,
        'The VAE has attention outside its middle (an older first stage), which cannot be run.',
      );
    }
    const [width = 0] = shapeOf(file, `${at}.block.0.conv2.weight`, 4, 'VAE_INCOMPLETE');
    widths.push(width);
  }
  if (widths.length === 0) {
    throw new CheckpointError('VAE_INCOMPLETE', file.path, "The VAE's decoder has no levels.");
  }
  return widths;
}

function countResBlocks(file: SafetensorsFile, prefix: string): number {
  let blocks = 0;
  while (hasTensor(file, `${prefix}decoder.up.0.block.${blocks}.conv1.weight`)) blocks++;
  return blocks;
}

/**
 * Lists every tensor of a VAE with its shape.
 *
 * @returns name (with the prefix) → shape, as `AutoencoderKL` of latent-diffusion registers them
 */
export function expectedVaeTensors(config: VaeConfig): ExpectedTensors {
  const { prefix, channels, channelMult, resBlocks, zChannels } = config;
  const tensors: ExpectedTensors = new Map();
  const add = (name: string, shape: number[]): void => {
    tensors.set(`${prefix}${name}.weight`, shape);
    tensors.set(`${prefix}${name}.bias`, [shape[0] ?? 0]);
  };
  const addBlock = (name: string, from: number, to: number): void => {
    add(`${name}.norm1`, [from]);
    add(`${name}.conv1`, [to, from, 3, 3]);
    add(`${name}.norm2`, [to]);
    add(`${name}.conv2`, [to, to, 3, 3]);
    if (from !== to) add(`${name}.nin_shortcut`, [to, from, 1, 1]);
  };
  const addMiddle = (name: string, width: number): void => {
    addBlock(`${name}.mid.block_1`, width, width);
    if (config.hasAttention) {
      add(`${name}.mid.attn_1.norm`, [width]);
      for (const part of ['q', 'k', 'v', 'proj_out']) {
        add(`${name}.mid.attn_1.${part}`, [width, width, 1, 1]);
      }
    }
    addBlock(`${name}.mid.block_2`, width, width);
  };
  const top = channels * (channelMult.at(-1) ?? 0);

  if (config.hasEncoder) {
    add('encoder.conv_in', [channels, 3, 3, 3]);
    let width = channels;
    for (const [level, mult] of channelMult.entries()) {
      for (let block = 0; block < resBlocks; block++) {
        addBlock(`encoder.down.${level}.block.${block}`, width, mult * channels);
        width = mult * channels;
      }
      if (level < channelMult.length - 1) {
        add(`encoder.down.${level}.downsample.conv`, [width, width, 3, 3]);
      }
    }
    addMiddle('encoder', top);
    add('encoder.norm_out', [top]);
    add('encoder.conv_out', [2 * zChannels, top, 3, 3]);
  }

  add('decoder.conv_in', [top, zChannels, 3, 3]);
  addMiddle('decoder', top);
  let width = top;
  for (let level = channelMult.length - 1; level >= 0; level--) {
    const to = (channelMult[level] ?? 0) * channels;
    for (let block = 0; block <= resBlocks; block++) {
      addBlock(`decoder.up.${level}.block.${block}`, width, to);
      width = to;
    }
    if (level > 0) add(`decoder.up.${level}.upsample.conv`, [width, width, 3, 3]);
  }
  add('decoder.norm_out', [width]);
  add('decoder.conv_out', [3, width, 3, 3]);
  if (config.hasQuantConv) add('quant_conv', [2 * zChannels, 2 * zChannels, 1, 1]);
  if (config.hasPostQuantConv) add('post_quant_conv', [zChannels, zChannels, 1, 1]);
  return tensors;
}
