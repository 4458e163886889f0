import path from 'node:path';
import type {
  Family,
  ModelConfig,
  TextEncoderConfig,
  UnetConfig,
  VaeConfig,
  Variant,
} from './config.ts';
import { CheckpointError, type CheckpointErrorCode } from './errors.ts';
import { explainForeign } from './foreign-model.ts';
import { detectPrediction } from './prediction.ts';
import type { SafetensorsFile } from './safetensors.ts';
import { hasPrefix, hasTensor, shapeOf } from './shapes.ts';
import { detectClipHf, detectOpenClip } from './text-encoder-config.ts';
import { detectUnet } from './unet-config.ts';
import { readVaeConfig } from './vae-config.ts';

export type {
  Family,
  HeadRule,
  ModelConfig,
  Prediction,
  TextEncoderConfig,
  UnetConfig,
  VaeConfig,
  Variant,
} from './config.ts';

const UNET_PREFIX = 'model.diffusion_model.';
const VAE_PREFIX = 'first_stage_model.';

/** Where each family keeps its text encoders. */
const TEXT_PREFIXES = {
  sd1: 'cond_stage_model.transformer.',
  sd2: 'cond_stage_model.model.',
  sdxlL: 'conditioner.embedders.0.transformer.',
  sdxlG: 'conditioner.embedders.1.model.',
  refinerG: 'conditioner.embedders.0.model.',
} as const;

/** Numbers that SDXL is told about sizes: original, crop, target, two each. */
const SDXL_SIZES = 6;
/** The refiner's: original, crop, and an aesthetic score. */
const REFINER_SIZES = 5;

/**
 * Returns what a checkpoint is, from its tensor names and shapes alone; any width and depth.
 *
 * What it predicts is not in the shapes: see `detectPrediction` for the signs that are looked at.
 *
 * @param file      a header; the data is not read
 * @param yamlPath  the configuration beside the checkpoint; null for none. Default: the name of
 *                  the file with `.yaml`, if there is one
 * @throws CheckpointError with a code for every kind that cannot be run, naming the kind and what
 *   is missing, or SHAPE_CONTRADICTION where two networks do not fit together
 */
export function detectCheckpoint(
  file: SafetensorsFile,
  yamlPath: string | null = siblingYaml(file.path),
): ModelConfig {
  explainForeign(file, UNET_PREFIX);
  const variant = detectVariant(file);
  const unet = detectUnet(file, UNET_PREFIX);
  const family = detectFamily(file, unet);
  const textEncoders = detectTextEncoders(file, family);
  const sizeEmbedding = fitTogether(file, family, unet, textEncoders);
  return {
    family,
    variant,
    ...detectPrediction(file, family, variant, yamlPath),
    unet,
    vae: hasPrefix(file, `${VAE_PREFIX}decoder.`) ? readVaeConfig(file, VAE_PREFIX, family) : null,
    textEncoders,
    sizeEmbedding,
  };
}

/**
 * Returns what a separate VAE file holds; a whole checkpoint will do, too.
 *
 * @param family  whose latents it is to decode; decides the scale factor, which no tensor tells
 * @throws CheckpointError NOT_A_VAE, VAE_INCOMPLETE, VAE_KIND, SHAPE_CONTRADICTION
 */
export function detectVae(file: SafetensorsFile, family: Family): VaeConfig {
  for (const prefix of ['', VAE_PREFIX]) {
    if (hasTensor(file, `${prefix}decoder.conv_in.weight`)) {
      // Diffusers uses the same first name; its levels are called up_blocks.
      if (hasPrefix(file, `${prefix}decoder.up_blocks.`)) {
        throw new CheckpointError(
          'DIFFUSERS_LAYOUT',
          file.path,
          'This VAE is in the diffusers layout; take the one in the single-file layout.',
        );
      }
      return readVaeConfig(file, prefix, family);
    }
  }
  throw new CheckpointError(
    'NOT_A_VAE',
    file.path,
    'There is no VAE decoder in this file (decoder.conv_in.weight).',
  );
}

function siblingYaml(file: string): string {
  const { dir, name } = path.parse(file);
  return path.join(dir, `${name}.yaml`);
}

function detectFamily(file: SafetensorsFile, unet: UnetConfig): Family {
  if (hasPrefix(file, 'embedder.model.')) {
    throw refuse(file, 'UNCLIP', 'This is SD 2.1 unCLIP, whose image encoder cannot be run.');
  }
  if (hasPrefix(file, 'cond_stage_model.roberta.')) {
    throw refuse(
      file,
      'ALT_DIFFUSION',
      'This is AltDiffusion, whose text encoder XLM-RoBERTa cannot be run.',
    );
  }
  if (hasPrefix(file, TEXT_PREFIXES.refinerG)) return 'sdxl-refiner';
  if (hasPrefix(file, TEXT_PREFIXES.sdxlL) || hasPrefix(file, TEXT_PREFIXES.sdxlG)) return 'sdxl';
  if (hasPrefix(file, TEXT_PREFIXES.sd2)) return 'sd2';
  if (hasPrefix(file, TEXT_PREFIXES.sd1)) return 'sd1';
  // No text encoder at all: the error that follows names the family by its UNet.
  if (unet.admChannels > 0) return unet.channelMult.length > 3 ? 'sdxl-refiner' : 'sdxl';
  return unet.useLinearProj ? 'sd2' : 'sd1';
}

const FAMILY_NAMES: Record<Family, string> = {
  sd1: 'Stable Diffusion 1.x',
  sd2: 'Stable Diffusion 2.x',
  sdxl: 'SDXL',
  'sdxl-refiner': 'the SDXL refiner',
};

function detectTextEncoders(file: SafetensorsFile, family: Family): TextEncoderConfig[] {
  const missing = (prefix: string): CheckpointError =>
    refuse(
      file,
      'TEXT_ENCODER_MISSING',
      `This is ${FAMILY_NAMES[family]} without its text encoder (${prefix}*).`,
    );
  switch (family) {
    case 'sd1':
      return [detectClipHf(file, TEXT_PREFIXES.sd1, 'last') ?? fail(missing(TEXT_PREFIXES.sd1))];
    case 'sd2':
      return [detectOpenClip(file, TEXT_PREFIXES.sd2, 'H') ?? fail(missing(TEXT_PREFIXES.sd2))];
    case 'sdxl-refiner': {
      const prefix = TEXT_PREFIXES.refinerG;
      return [detectOpenClip(file, prefix, 'G') ?? fail(missing(prefix))];
    }
    case 'sdxl': {
      const l = detectClipHf(file, TEXT_PREFIXES.sdxlL, 'penultimate');
      const g = detectOpenClip(file, TEXT_PREFIXES.sdxlG, 'G');
      if (l === null) throw missing(TEXT_PREFIXES.sdxlL);
      if (g === null) {
        throw refuse(
          file,
          'TEXT_ENCODER_2_MISSING',
          `This is SDXL without its second text encoder (${TEXT_PREFIXES.sdxlG}*).`,
        );
      }
      return [l, g];
    }
  }
}

/** Comes first: the models with other input channels differ in more than that. */
function detectVariant(file: SafetensorsFile): Variant {
  const first = `${UNET_PREFIX}input_blocks.0.0.weight`;
  const [, inChannels] = shapeOf(file, first, 4, 'UNET_INCOMPLETE');
  switch (inChannels) {
    case 4:
      return 'base';
    case 9:
      return 'inpaint';
    case 8:
      return 'instruct';
    case 5:
      throw refuse(
        file,
        'DEPTH_MODEL',
        'This is a depth-to-image model (5 input channels), whose depth estimator cannot be run.',
      );
    case 7:
      throw refuse(
        file,
        'LATENT_UPSCALER',
        'This is the x4 upscaler of Stable Diffusion (7 input channels), not a checkpoint.',
      );
    default:
      throw refuse(
        file,
        'SHAPE_CONTRADICTION',
        `The UNet takes ${inChannels} channels; 4 (plain), 9 (inpainting) or 8 (instruct) can be run.`,
      );
  }
}

/** Checks that the text encoders' widths add up to what the UNet takes. */
function fitTogether(
  file: SafetensorsFile,
  family: Family,
  unet: UnetConfig,
  textEncoders: readonly TextEncoderConfig[],
): ModelConfig['sizeEmbedding'] {
  const width = textEncoders.reduce((sum, encoder) => sum + encoder.width, 0);
  if (width !== unet.contextDim) {
    throw refuse(
      file,
      'SHAPE_CONTRADICTION',
      `The text encoders give ${width} channels but the UNet takes ${unet.contextDim}.`,
    );
  }
  if (unet.outChannels !== 4) {
    throw refuse(
      file,
      'SHAPE_CONTRADICTION',
      `The UNet gives ${unet.outChannels} channels; the latents here have 4.`,
    );
  }
  if (family === 'sd1' || family === 'sd2') {
    if (unet.admChannels === 0) return null;
    throw refuse(
      file,
      'UNCLIP',
      `The UNet takes a vector of ${unet.admChannels} beside the text (unCLIP), which cannot be run.`,
    );
  }
  const pooled = textEncoders.at(-1)?.projectionDim ?? 0;
  const count = family === 'sdxl' ? SDXL_SIZES : REFINER_SIZES;
  const size = (unet.admChannels - pooled) / count;
  // Half of each embedding is cosines and half sines, so its width is even.
  if (!Number.isInteger(size / 2) || size <= 0) {
    throw refuse(
      file,
      'SHAPE_CONTRADICTION',
      `label_emb takes ${unet.admChannels}, which is not ${pooled} of pooled text and ${count} embedded sizes.`,
    );
  }
  return { width: size, count };
}

function refuse(file: SafetensorsFile, code: CheckpointErrorCode, detail: string): CheckpointError {
  return new CheckpointError(code, file.path, detail);
}

function fail(error: CheckpointError): never {
  throw error;
}
