/** What `detect.ts` finds out about a checkpoint: everything the graph writers need, as plain data. */

export type Family = 'sd1' | 'sd2' | 'sdxl' | 'sdxl-refiner';

/** What the network predicts: the noise, or v of Salimans & Ho 2022. */
export type Prediction = 'eps' | 'v';

/** By the input channels of the UNet: 4, 9 (+ mask and masked image) or 8 (+ image to edit). */
export type Variant = 'base' | 'inpaint' | 'instruct';

/**
 * How many heads an attention layer of c channels has; see `countHeads`.
 * `count`: the same number everywhere. `width`: heads of that many channels each.
 */
export type HeadRule = { kind: 'count'; count: number } | { kind: 'width'; width: number };

/** `openaimodel.UNetModel`. Level 0 is the full latent size, each further level half of it. */
export interface UnetConfig {
  /** What stands before every name, e.g. `model.diffusion_model.`. */
  prefix: string;
  /** 4, 9 or 8; see Variant. */
  inChannels: number;
  outChannels: number;
  /** Channels of the first convolution. */
  modelChannels: number;
  /** Channels of level l = channelMult[l] * modelChannels. */
  channelMult: number[];
  /** Residual blocks per level going down; going up each level has one more. */
  resBlocks: number[];
  /** [level][block] → transformer blocks after that residual block; 0 = no attention there. */
  inputDepths: number[][];
  /** As inputDepths, going up; [level][block] with block in running order, resBlocks[level] + 1 each. */
  outputDepths: number[][];
  /** Transformer blocks in the middle; 0 = no attention there. */
  middleDepth: number;
  /** Residual blocks in the middle: 2; distilled SDXLs have 1 (SSD-1B) or 0 (Koala). */
  middleResBlocks: number;
  /** Width of the text conditioning. */
  contextDim: number;
  heads: HeadRule;
  /** Whether proj_in and proj_out are Linear [c, c]; else convolutions [c, c, 1, 1]. */
  useLinearProj: boolean;
  /** Width of the vector that goes into label_emb (SDXL: pooled text and sizes); 0 = none. */
  admChannels: number;
}

/** `AutoencoderKL` of latent-diffusion. Level 0 is the full picture. */
export interface VaeConfig {
  /** `first_stage_model.` in checkpoints, '' or the same in VAE files. */
  prefix: string;
  /** Channels of level l = channelMult[l] * channels. */
  channels: number;
  channelMult: number[];
  /** Residual blocks per level of the encoder; the decoder has one more per level. */
  resBlocks: number;
  /** Channels of the latent. */
  zChannels: number;
  /** latent = (mean of the posterior) * scaleFactor. */
  scaleFactor: number;
  hasEncoder: boolean;
  /** Whether the middle has a self-attention layer. */
  hasAttention: boolean;
  hasQuantConv: boolean;
  hasPostQuantConv: boolean;
}

/** A CLIP text tower. */
export interface TextEncoderConfig {
  /** Names and fused or separate q, k, v: Hugging Face transformers, or open_clip. */
  kind: 'clip-hf' | 'open-clip';
  /** CLIP ViT-L/14, OpenCLIP ViT-H/14 or OpenCLIP ViT-bigG/14, or what stands in its place. */
  role: 'L' | 'H' | 'G';
  /** What stands before `embeddings.` (clip-hf) or `token_embedding.` (open-clip). */
  prefix: string;
  width: number;
  layers: number;
  heads: number;
  /** Entries of the token table. */
  vocab: number;
  /** Positions. */
  tokens: number;
  /** Width of the feed-forward layers. */
  mlpWidth: number;
  activation: 'quick_gelu' | 'gelu';
  hasProjection: boolean;
  /** Width of the projected pooled output; equal to width where there is no projection. */
  projectionDim: number;
  /** Layers that run before the conditioning is taken, at clip skip 1. */
  conditioningLayer: number;
  /** Whether the final layer norm is applied to that conditioning. */
  normalizesConditioning: boolean;
}

/** A whole checkpoint. */
export interface ModelConfig {
  family: Family;
  variant: Variant;
  prediction: Prediction;
  /** True when nothing in or beside the file says what it predicts and both kinds exist (SD 2.x). */
  predictionUncertain: boolean;
  /** Whether the noise schedule ends at pure noise (Lin et al. 2023). */
  zeroTerminalSnr: boolean;
  unet: UnetConfig;
  /** null: the file has none; a separate VAE file is needed. */
  vae: VaeConfig | null;
  /** In the order in which their outputs are joined along the width. */
  textEncoders: TextEncoderConfig[];
  /**
   * SDXL: width of the embedding of each size number (256) and how many there are (6; refiner 5).
   * unet.admChannels = pooled width + width * count. null for SD 1.x and 2.x.
   */
  sizeEmbedding: { width: number; count: number } | null;
}

/** Head width of SD 2.x, SDXL and all text encoders. */
export const HEAD_WIDTH = 64;

/**
 * Heads of an attention layer.
 *
 * With a `width` rule and channels that it does not divide (tiny test networks), the head width is
 * the greatest common divisor of the two: 32 channels have 1 head of 32, 96 have 3 of 32.
 *
 * @param channels  width of the layer
 */
export function countHeads(rule: HeadRule, channels: number): number {
  if (rule.kind === 'count') return rule.count;
  let [a, b] = [channels, rule.width];
  while (b > 0) [a, b] = [b, a % b];
  return channels / a;
}
