import { countHeads, HEAD_WIDTH, type TextEncoderConfig } from './config.ts';
import { CheckpointError } from './errors.ts';
import type { SafetensorsFile } from './safetensors.ts';
import {
  checkNothingLeft,
  checkTensors,
  type ExpectedTensors,
  hasTensor,
  shapeOf,
} from './shapes.ts';

/** Which of CLIP's layers a family takes its conditioning from. */
export type Conditioning = 'last' | 'penultimate';

/** Layers that SD 2.x's text encoder has when a converter left out the one that is never used. */
const SD2_USED_LAYERS = 23;

/**
 * Reads a text tower in the layout of Hugging Face transformers (CLIP-L).
 *
 * @param root  e.g. `cond_stage_model.transformer.`; `text_model.` may follow in the file or not
 * @returns the config, or null when there is no such tower
 * @throws CheckpointError TEXT_ENCODER_INCOMPLETE or SHAPE_CONTRADICTION
 */
export function detectClipHf(
  file: SafetensorsFile,
  root: string,
  conditioning: Conditioning,
): TextEncoderConfig | null {
  const token = 'embeddings.token_embedding.weight';
  const prefix = [`${root}text_model.`, root].find((start) => hasTensor(file, start + token));
  if (prefix === undefined) return null;
  const [vocab = 0, width = 0] = shapeOf(file, prefix + token, 2, 'TEXT_ENCODER_INCOMPLETE');
  const position = `${prefix}embeddings.position_embedding.weight`;
  const [tokens = 0] = shapeOf(file, position, 2, 'TEXT_ENCODER_INCOMPLETE');
  const layers = countLayers(file, (n) => `${prefix}encoder.layers.${n}.layer_norm1.weight`);
  const fc1 = `${prefix}encoder.layers.0.mlp.fc1.weight`;
  const [mlpWidth = 0] = shapeOf(file, fc1, 2, 'TEXT_ENCODER_INCOMPLETE');
  const config: TextEncoderConfig = {
    kind: 'clip-hf',
    role: 'L',
    prefix,
    width,
    layers,
    heads: countHeads({ kind: 'width', width: HEAD_WIDTH }, width),
    vocab,
    tokens,
    mlpWidth,
    activation: 'quick_gelu',
    hasProjection: false,
    projectionDim: width,
    conditioningLayer: conditioning === 'last' ? layers : layers - 1,
    normalizesConditioning: conditioning === 'last',
  };
  checkTower(file, config, expectedClipHfTensors(config), 'the text encoder CLIP-L');
  return config;
}

/**
 * Reads a text tower in the layout of open_clip (ViT-H of SD 2.x, ViT-bigG of SDXL).
 *
 * @param prefix  e.g. `conditioner.embedders.1.model.`
 * @param role    H or G; SD 2.x (H) normalizes the penultimate layer, SDXL does not
 * @returns the config, or null when there is no such tower
 * @throws CheckpointError TEXT_ENCODER_INCOMPLETE or SHAPE_CONTRADICTION
 */
export function detectOpenClip(
  file: SafetensorsFile,
  prefix: string,
  role: 'H' | 'G',
): TextEncoderConfig | null {
  const token = `${prefix}token_embedding.weight`;
  if (!hasTensor(file, token)) return null;
  const [vocab = 0, width = 0] = shapeOf(file, token, 2, 'TEXT_ENCODER_INCOMPLETE');
  const position = `${prefix}positional_embedding`;
  const [tokens = 0] = shapeOf(file, position, 2, 'TEXT_ENCODER_INCOMPLETE');
  const layers = countLayers(file, (n) => `${prefix}transformer.resblocks.${n}.ln_1.weight`);
  const fc = `${prefix}transformer.resblocks.0.mlp.c_fc.weight`;
  const [mlpWidth = 0] = shapeOf(file, fc, 2, 'TEXT_ENCODER_INCOMPLETE');
  const projection = `${prefix}text_projection`;
  const hasProjection = hasTensor(file, projection);
  // SDXL's pooled output comes from here, so there it must exist; SD 2.x never uses it.
  if (role === 'G' && !hasProjection) {
    throw new CheckpointError('TEXT_ENCODER_INCOMPLETE', file.path, 'It is missing.', projection);
  }
  const isCut = role === 'H' && layers === SD2_USED_LAYERS;
  const config: TextEncoderConfig = {
    kind: 'open-clip',
    role,
    prefix,
    width,
    layers,
    heads: countHeads({ kind: 'width', width: HEAD_WIDTH }, width),
    vocab,
    tokens,
    mlpWidth,
    activation: 'gelu',
    hasProjection,
    projectionDim: hasProjection
      ? (shapeOf(file, projection, 2, 'TEXT_ENCODER_INCOMPLETE')[1] ?? 0)
      : width,
    conditioningLayer: isCut ? layers : layers - 1,
    normalizesConditioning: role === 'H',
  };
  checkTower(file, config, expectedOpenClipTensors(config), `the text encoder OpenCLIP-${role}`);
  return config;
}

/** What the names of layers start with, after the prefix. */
const TOWER_LAYERS = /^(encoder\.layers|transformer\.resblocks)\./;

function checkTower(
  file: SafetensorsFile,
  config: TextEncoderConfig,
  expected: ExpectedTensors,
  part: string,
): void {
  checkTensors(file, expected, 'TEXT_ENCODER_INCOMPLETE', part);
  checkNothingLeft(file, expected, config.prefix, TOWER_LAYERS, part);
}

function countLayers(file: SafetensorsFile, nameOf: (layer: number) => string): number {
  let layers = 0;
  while (hasTensor(file, nameOf(layers))) layers++;
  if (layers === 0) {
    throw new CheckpointError('TEXT_ENCODER_INCOMPLETE', file.path, 'It is missing.', nameOf(0));
  }
  return layers;
}

/** Every tensor of a transformers `CLIPTextModel` with its shape (position_ids is a buffer). */
export function expectedClipHfTensors(config: TextEncoderConfig): ExpectedTensors {
  const { prefix, width, layers, vocab, tokens, mlpWidth } = config;
  const tensors: ExpectedTensors = new Map();
  const add = (name: string, shape: number[]): void => {
    tensors.set(`${prefix}${name}.weight`, shape);
    tensors.set(`${prefix}${name}.bias`, [shape[0] ?? 0]);
  };
  tensors.set(`${prefix}embeddings.token_embedding.weight`, [vocab, width]);
  tensors.set(`${prefix}embeddings.position_embedding.weight`, [tokens, width]);
  for (let n = 0; n < layers; n++) {
    const layer = `encoder.layers.${n}`;
    add(`${layer}.layer_norm1`, [width]);
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      add(`${layer}.self_attn.${part}`, [width, width]);
    }
    add(`${layer}.layer_norm2`, [width]);
    add(`${layer}.mlp.fc1`, [mlpWidth, width]);
    add(`${layer}.mlp.fc2`, [width, mlpWidth]);
  }
  add('final_layer_norm', [width]);
  return tensors;
}

/** Every tensor of an open_clip text tower with its shape (logit_scale is not used). */
export function expectedOpenClipTensors(config: TextEncoderConfig): ExpectedTensors {
  const { prefix, width, layers, vocab, tokens, mlpWidth } = config;
  const tensors: ExpectedTensors = new Map();
  const add = (name: string, shape: number[]): void => {
    tensors.set(`${prefix}${name}.weight`, shape);
    tensors.set(`${prefix}${name}.bias`, [shape[0] ?? 0]);
  };
  tensors.set(`${prefix}token_embedding.weight`, [vocab, width]);
  tensors.set(`${prefix}positional_embedding`, [tokens, width]);
  for (let n = 0; n < layers; n++) {
    const layer = `transformer.resblocks.${n}`;
    add(`${layer}.ln_1`, [width]);
    tensors.set(`${prefix}${layer}.attn.in_proj_weight`, [3 * width, width]);
    tensors.set(`${prefix}${layer}.attn.in_proj_bias`, [3 * width]);
    add(`${layer}.attn.out_proj`, [width, width]);
    add(`${layer}.ln_2`, [width]);
    add(`${layer}.mlp.c_fc`, [mlpWidth, width]);
    add(`${layer}.mlp.c_proj`, [width, mlpWidth]);
  }
  add('ln_final', [width]);
  if (config.hasProjection) {
    tensors.set(`${prefix}text_projection`, [width, config.projectionDim]);
  }
  return tensors;
}
