import { CheckpointError, type CheckpointErrorCode } from './errors.ts';
import {
  DIFFUSERS_UNET,
  DIFFUSERS_VAE,
  EMBEDDING_NAME,
  FOREIGN_MODELS,
  LORA_NAME,
  OTHER_FILES,
  QUANTIZED_NAME,
  TEXT_ENCODER_NAME,
} from './kinds.ts';
import type { SafetensorsFile } from './safetensors.ts';

/** Most tensors that a file with only textual inversions has. */
const MAX_EMBEDDING_TENSORS = 4;

/** What a file without a UNet or with a foreign one is, and the sentence for its owner. */
interface Explanation {
  code: CheckpointErrorCode;
  says: string;
}

/**
 * Refuses files that are something else than a Stable Diffusion checkpoint, by name of what they
 * are. Returns when the file has a UNet in the single-file layout and no sign of another kind.
 *
 * @param unetPrefix  what stands before `input_blocks.` in checkpoints
 * @throws CheckpointError
 */
export function explainForeign(file: SafetensorsFile, unetPrefix: string): void {
  const names = [...file.tensors.keys()];
  const found = findForeign(file, names, unetPrefix);
  if (found !== null) throw new CheckpointError(found.code, file.path, found.says);
}

function findForeign(
  file: SafetensorsFile,
  names: readonly string[],
  unetPrefix: string,
): Explanation | null {
  if (names.length === 0) return { code: 'EMPTY_CHECKPOINT', says: 'The file has no tensors.' };
  const hasUnet = names.some((name) => name.startsWith(`${unetPrefix}input_blocks.`));
  if (hasUnet) {
    if (names.some((name) => QUANTIZED_NAME.test(name))) {
      return {
        code: 'QUANTIZED',
        says: 'The weights are quantized with scales of their own; take the fp16 checkpoint.',
      };
    }
    return null;
  }
  // A LoRA for Flux has Flux's names in it, so adapters come first.
  if (names.some((name) => LORA_NAME.test(name))) {
    return {
      code: 'LORA',
      says: 'This is a LoRA (or another adapter of weights), not a checkpoint: put it into the Lora folder.',
    };
  }
  for (const { code, says, marker } of FOREIGN_MODELS) {
    if (names.some((name) => marker.test(name))) return { code, says };
  }
  return findPart(file, names, unetPrefix);
}

/** Parts of Stable Diffusion, and what else is met in model folders. */
function findPart(
  file: SafetensorsFile,
  names: readonly string[],
  unetPrefix: string,
): Explanation {
  const has = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
  if (has(DIFFUSERS_UNET)) {
    return {
      code: 'DIFFUSERS_LAYOUT',
      says: 'This is a UNet in the diffusers layout without text encoders and VAE; take the single-file checkpoint.',
    };
  }
  if (has(/^(diffusion_model\.)?input_blocks\.0\.0\.weight$/)) {
    return {
      code: 'UNET_ONLY',
      says: `This is a UNet without text encoders and VAE, under other names than a checkpoint's (${unetPrefix}*).`,
    };
  }
  if (names.some((name) => name.startsWith(unetPrefix))) {
    return {
      code: 'UNET_INCOMPLETE',
      says: `A part of the UNet is missing: there is no ${unetPrefix}input_blocks.*.`,
    };
  }
  if (isEmbedding(file, names)) {
    return {
      code: 'EMBEDDING',
      says: 'This is a textual inversion embedding, not a checkpoint: put it into the embeddings folder.',
    };
  }
  if (has(DIFFUSERS_VAE) || has(/^(first_stage_model\.|vae\.)?decoder\.conv_in\.weight$/)) {
    return {
      code: 'VAE_ONLY',
      says: 'This is only a VAE, without UNet and text encoders: put it into the VAE folder.',
    };
  }
  for (const { code, says, marker } of OTHER_FILES) {
    // CLIP and T5 share names with language models; those have their own check below.
    if (code === 'LANGUAGE_MODEL' && has(TEXT_ENCODER_NAME)) continue;
    if (has(marker)) return { code, says };
  }
  if (has(TEXT_ENCODER_NAME)) {
    return {
      code: 'TEXT_ENCODER_ONLY',
      says: 'This is only a text encoder, without UNet and VAE.',
    };
  }
  return {
    code: 'UNKNOWN_MODEL',
    says: `This is not a Stable Diffusion checkpoint: there is no ${unetPrefix}*, and the names are of no known kind.`,
  };
}

/** By name, or few tensors that are all rows of a text encoder's width. */
function isEmbedding(file: SafetensorsFile, names: readonly string[]): boolean {
  if (names.length > MAX_EMBEDDING_TENSORS) return false;
  if (names.some((name) => EMBEDDING_NAME.test(name))) return true;
  return names.every((name) => {
    const shape = file.tensors.get(name)?.shape ?? [];
    return shape.length === 2 && [768, 1024, 1280].includes(shape[1] ?? 0);
  });
}
