/** The architectures a synthetic checkpoint can have, and the list of tensors each one holds. */
import { scheduleBuffers } from './schedule-buffers.ts';
import { type TensorSpec, under } from './tensors.ts';
import { clipTensors, openClipTensors, type TextEncoderShape } from './text-encoders.ts';
import { type UnetShape, unetTensors } from './unet.ts';
import { type VaeShape, vaeTensors } from './vae.ts';

export type Family = 'sd1' | 'sd2' | 'sdxl' | 'refiner';

interface Architecture {
  family: Family;
  unet: Omit<UnetShape, 'contextWidth' | 'hasLinearProjections' | 'labelWidth'>;
  /** transformers' layout: SD 1 and the first encoder of SDXL. */
  clip?: TextEncoderShape;
  /** open_clip's layout: SD 2, the second encoder of SDXL, the only one of the refiner. */
  openClip?: TextEncoderShape;
  vae: VaeShape;
}

/** Everything of unit size: what timing and loading need. */
const GAINS = { contextQuery: 1, context: 0.5, output: 0.5 };
/**
 * A picture must depend visibly on prompt, sampler and schedule, or a test of final latents could
 * not fail; and not so strongly that float32 rounding grows over 20 steps.
 */
const TINY_GAINS = { contextQuery: 2, context: 2, output: 1.5 };
const SD = { multipliers: [1, 2, 4, 4], depths: [1, 1, 1, 0], middleDepth: 1, gains: GAINS };
const TINY_SD = { ...SD, gains: TINY_GAINS };
const VAE = { channels: 128, multipliers: [1, 2, 4, 4] };
const TINY_VAE = { channels: 32, multipliers: [1, 1, 1, 2] };
const CLIP_L = { width: 768, layers: 12 };
const CLIP_G = { width: 1280, layers: 32 };

/**
 * The tiny ones have every kind of block of the full ones at small widths. Group norm wants
 * multiples of 32 channels, attention heads of SD 2 and SDXL are 64 wide (so are those of every
 * text encoder), SD 1 has 8 heads at any width. Between them they cover one and two heads in both
 * text encoder layouts and in the UNet.
 */
export const ARCHITECTURES = {
  sd15: { family: 'sd1', unet: { modelChannels: 320, ...SD }, clip: CLIP_L, vae: VAE },
  sd2: {
    family: 'sd2',
    unet: { modelChannels: 320, ...SD },
    openClip: { width: 1024, layers: 24 },
    vae: VAE,
  },
  sdxl: {
    family: 'sdxl',
    unet: {
      modelChannels: 320,
      multipliers: [1, 2, 4],
      depths: [0, 2, 10],
      middleDepth: 10,
      gains: GAINS,
    },
    clip: CLIP_L,
    openClip: CLIP_G,
    vae: VAE,
  },
  refiner: {
    family: 'refiner',
    unet: {
      modelChannels: 384,
      multipliers: [1, 2, 4, 4],
      depths: [0, 4, 4, 0],
      middleDepth: 4,
      gains: GAINS,
    },
    openClip: CLIP_G,
    vae: VAE,
  },
  'tiny-sd15': {
    family: 'sd1',
    unet: { ...TINY_SD, modelChannels: 32, multipliers: [1, 1, 2, 2] },
    clip: { width: 64, layers: 4 },
    vae: TINY_VAE,
  },
  'tiny-sd2': {
    family: 'sd2',
    unet: { ...TINY_SD, modelChannels: 64, multipliers: [1, 1, 1, 1] },
    openClip: { width: 128, layers: 4 },
    vae: TINY_VAE,
  },
  'tiny-sdxl': {
    family: 'sdxl',
    unet: {
      modelChannels: 32,
      multipliers: [1, 2, 2],
      depths: [0, 1, 2],
      middleDepth: 2,
      gains: TINY_GAINS,
    },
    clip: { width: 128, layers: 3 },
    openClip: { width: 64, layers: 4 },
    vae: TINY_VAE,
  },
  'tiny-refiner': {
    family: 'refiner',
    unet: {
      modelChannels: 32,
      multipliers: [1, 2, 4, 2],
      depths: [0, 2, 1, 0],
      middleDepth: 1,
      gains: TINY_GAINS,
    },
    openClip: { width: 64, layers: 3 },
    vae: TINY_VAE,
  },
} satisfies Record<string, Architecture>;

export type ArchitectureName = keyof typeof ARCHITECTURES;

/** Width of one sinusoidal number of the size conditioning. */
const SIZE_EMBEDDING = 256;
/** SDXL: original, crop and target size. Refiner: original, crop, aesthetic score. */
const SIZE_NUMBERS = { sdxl: 6, refiner: 5 };

export interface CheckpointParts {
  /** UNet input channels: 4, 9 (inpainting) or 8 (instruct). */
  inChannels: number;
  /** Schedule buffers, position_ids, logit_scale: what a loader steps over. */
  buffers: boolean;
  vae: boolean;
  /** Layers of the open_clip encoder instead of the architecture's; SD 2 files come with 23 or 24. */
  textLayers?: number;
  /** Marker tensors of v-prediction and of a zero-terminal-SNR schedule. */
  vPred: boolean;
  ztsnr: boolean;
}

/** Looks an architecture up. @throws RangeError that lists the names */
export function architecture(name: string): Architecture {
  const found = Object.entries(ARCHITECTURES).find(([key]) => key === name);
  if (!found) {
    const names = Object.keys(ARCHITECTURES).join(', ');
    throw new RangeError(`Expected one of ${names} for arch but received ${name} of type string.`);
  }
  return found[1];
}

function textEncoders(arch: Architecture, parts: CheckpointParts): TensorSpec[] {
  const clip = arch.clip ? clipTensors(arch.clip, parts.buffers) : [];
  const open = arch.openClip
    ? openClipTensors(
        { ...arch.openClip, layers: parts.textLayers ?? arch.openClip.layers },
        parts.buffers,
      )
    : [];
  switch (arch.family) {
    case 'sd1':
      return under('cond_stage_model.transformer', clip);
    case 'sd2':
      return under('cond_stage_model.model', open);
    case 'sdxl':
      return [
        ...under('conditioner.embedders.0.transformer', clip),
        ...under('conditioner.embedders.1.model', open),
      ];
    case 'refiner':
      return under('conditioner.embedders.0.model', open);
  }
}

/** Returns the whole shape of an architecture's UNet, text and label widths filled in. */
export function unetShape(arch: Architecture): UnetShape {
  const { family } = arch;
  const pooled = arch.openClip?.width ?? 0;
  const isSdxl = family === 'sdxl' || family === 'refiner';
  return {
    ...arch.unet,
    contextWidth: (arch.clip?.width ?? 0) + pooled,
    hasLinearProjections: family !== 'sd1',
    labelWidth: isSdxl ? pooled + SIZE_NUMBERS[family] * SIZE_EMBEDDING : 0,
  };
}

/** Lists the tensors of the autoencoder alone, keys as a separate VAE file has them. */
export function separateVaeTensors(name: string): TensorSpec[] {
  return vaeTensors(architecture(name).vae);
}

/** Lists every tensor of a single-file checkpoint. */
export function checkpointTensors(name: string, parts: CheckpointParts): TensorSpec[] {
  const arch = architecture(name);
  // ComfyUI and the trainers after it save the markers as empty float32 tensors.
  const marker = (key: string): TensorSpec => ({
    key,
    shape: [0],
    fill: { kind: 'data', dtype: 'F32', values: [] },
  });
  const hasScheduleBuffers = parts.buffers && (arch.family === 'sd1' || arch.family === 'sd2');
  return [
    ...under('model.diffusion_model', unetTensors(unetShape(arch), parts.inChannels)),
    ...(parts.vae ? under('first_stage_model', vaeTensors(arch.vae)) : []),
    ...textEncoders(arch, parts),
    ...(hasScheduleBuffers ? scheduleBuffers() : []),
    ...(parts.vPred ? [marker('v_pred')] : []),
    ...(parts.ztsnr ? [marker('ztsnr')] : []),
  ];
}
