import { HEAD_WIDTH, type HeadRule, type UnetConfig } from './config.ts';
import { CheckpointError } from './errors.ts';
import type { SafetensorsFile } from './safetensors.ts';
import { checkNothingLeft, checkTensors, hasTensor, shapeOf } from './shapes.ts';
import { expectedUnetTensors } from './unet-tensors.ts';

/** Heads of every attention layer of an SD 1.x UNet. */
const SD1_HEADS = 8;
/** More blocks than any UNet has; ends the search in a hostile file. */
const MAX_BLOCKS = 200;

/** What the names of layers start with, after the prefix. */
const UNET_LAYERS = /^(time_embed|label_emb|input_blocks|middle_block|output_blocks|out)\./;

/** What one block of the UNet holds, as its tensor names tell. */
interface Block {
  /** Output channels of the residual block; null: this block is a down-sampling step. */
  channels: number | null;
  depth: number;
}

/**
 * Reads the UNet's structure from tensor names and shapes, then checks that every tensor of that
 * structure is there with its shape.
 *
 * @param prefix  what stands before `input_blocks.`
 * @throws CheckpointError UNET_INCOMPLETE, SHAPE_CONTRADICTION or VIDEO_MODEL
 */
export function detectUnet(file: SafetensorsFile, prefix: string): UnetConfig {
  const first = shapeOf(file, `${prefix}input_blocks.0.0.weight`, 4, 'UNET_INCOMPLETE');
  const [modelChannels = 0, inChannels = 0] = first;
  const out = shapeOf(file, `${prefix}out.2.weight`, 4, 'UNET_INCOMPLETE');
  const levels = readLevels(file, prefix);
  const outputDepths = readOutputDepths(file, prefix, levels);
  const middleDepth = countTransformers(file, `${prefix}middle_block.1`);
  const adm = `${prefix}label_emb.0.0.weight`;
  const hasLabels = hasTensor(file, adm);

  const context = findContext(file, prefix);
  const config: UnetConfig = {
    prefix,
    inChannels,
    outChannels: out[0] ?? 0,
    modelChannels,
    channelMult: levels.map((level) => (level[0]?.channels ?? 0) / modelChannels),
    resBlocks: levels.map((level) => level.length),
    inputDepths: levels.map((level) => level.map((block) => block.depth)),
    outputDepths,
    middleDepth,
    middleResBlocks: hasLabels ? countMiddle(file, prefix) : 2,
    contextDim: context.width,
    heads: headRule(context.useLinearProj),
    useLinearProj: context.useLinearProj,
    admChannels: hasLabels ? (shapeOf(file, adm, 2, 'UNET_INCOMPLETE')[1] ?? 0) : 0,
  };
  checkDivisible(file, config);
  const expected = expectedUnetTensors(config);
  checkTensors(file, expected, 'UNET_INCOMPLETE', 'the UNet');
  checkNothingLeft(file, expected, prefix, UNET_LAYERS, 'The UNet');
  return config;
}

/**
 * SD 1.x was trained with 8 heads in every layer, SD 2.x and SDXL with heads of 64 channels. The
 * two are told apart by proj_in: a convolution in SD 1.x, a Linear since. No tensor's shape
 * depends on the heads, so nothing else can tell.
 */
function headRule(useLinearProj: boolean): HeadRule {
  return useLinearProj ? { kind: 'width', width: HEAD_WIDTH } : { kind: 'count', count: SD1_HEADS };
}

/** Residual blocks of each level, going down. */
function readLevels(file: SafetensorsFile, prefix: string): Block[][] {
  const levels: Block[][] = [[]];
  for (let n = 1; n < MAX_BLOCKS; n++) {
    const at = `${prefix}input_blocks.${n}`;
    if (hasTensor(file, `${at}.0.op.weight`)) levels.push([]);
    else if (hasTensor(file, `${at}.0.in_layers.0.weight`)) {
      const [channels = 0] = shapeOf(file, `${at}.0.out_layers.3.weight`, 4, 'UNET_INCOMPLETE');
      levels.at(-1)?.push({ channels, depth: countTransformers(file, `${at}.1`) });
    } else break;
  }
  for (const [level, blocks] of levels.entries()) {
    if (blocks.length === 0) {
      throw new CheckpointError(
        'UNET_INCOMPLETE',
        file.path,
        `The UNet has no residual block on level ${level}: this is a part of a checkpoint.`,
      );
    }
  }
  return levels;
}

/** Transformer blocks going up; the deepest level runs first, so it is filled in first. */
function readOutputDepths(file: SafetensorsFile, prefix: string, levels: Block[][]): number[][] {
  const depths: number[][] = levels.map(() => []);
  let n = 0;
  for (let level = levels.length - 1; level >= 0; level--) {
    const count = (levels[level]?.length ?? 0) + 1;
    for (let block = 0; block < count; block++, n++) {
      depths[level]?.push(countTransformers(file, `${prefix}output_blocks.${n}.1`));
    }
  }
  return depths;
}

function countTransformers(file: SafetensorsFile, at: string): number {
  if (hasTensor(file, `${at}.time_stack.0.attn1.to_q.weight`)) {
    throw new CheckpointError(
      'VIDEO_MODEL',
      file.path,
      'This is a video model (a UNet with temporal layers); only still-picture UNets can be run.',
    );
  }
  let depth = 0;
  while (hasTensor(file, `${at}.transformer_blocks.${depth}.attn1.to_q.weight`)) depth++;
  return depth;
}

/** Distilled SDXLs have a smaller middle; in all others anything but 2 means a damaged file. */
function countMiddle(file: SafetensorsFile, prefix: string): number {
  if (!hasTensor(file, `${prefix}middle_block.0.in_layers.0.weight`)) return 0;
  const isWhole = ['1.norm', '1.in_layers.0', '2.in_layers.0'].some((part) =>
    hasTensor(file, `${prefix}middle_block.${part}.weight`),
  );
  return isWhole ? 2 : 1;
}

/** Width of the conditioning and kind of proj_in, from the first cross-attention layer. */
function findContext(
  file: SafetensorsFile,
  prefix: string,
): { width: number; useLinearProj: boolean } {
  for (const part of ['input_blocks', 'output_blocks']) {
    for (let n = 0; n < MAX_BLOCKS; n++) {
      const at = `${prefix}${part}.${n}.1`;
      const key = `${at}.transformer_blocks.0.attn2.to_k.weight`;
      if (!hasTensor(file, key)) continue;
      const [, width = 0] = shapeOf(file, key, 2, 'UNET_INCOMPLETE');
      const info = file.tensors.get(`${at}.proj_in.weight`);
      return { width, useLinearProj: info?.shape.length === 2 };
    }
  }
  throw new CheckpointError(
    'UNET_INCOMPLETE',
    file.path,
    'The UNet has no cross-attention: it takes no text.',
  );
}

/** Channels per group norm: `openaimodel` always makes 32 groups. */
const NORM_GROUPS = 32;

function checkDivisible(file: SafetensorsFile, config: UnetConfig): void {
  for (const mult of config.channelMult) {
    const channels = mult * config.modelChannels;
    if (!Number.isInteger(channels / NORM_GROUPS) || channels === 0) {
      throw new CheckpointError(
        'SHAPE_CONTRADICTION',
        file.path,
        `A level of the UNet has ${channels} channels, which do not divide into ${NORM_GROUPS} groups.`,
      );
    }
  }
}
