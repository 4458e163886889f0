import type { ModelConfig, VaeConfig } from '../../networks/checkpoint/config.ts';
import { detectVae } from '../../networks/checkpoint/detect.ts';
import { readHeader, type SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';
import { PipelineError } from '../errors.ts';
import type { ModelFile } from '../job.ts';

/** Levels of a VAE whose latent cells are 8 pixels wide, as all of Stable Diffusion's are. */
const VAE_LEVELS = 4;

/** A VAE and the file that its weights are in. */
export interface FoundVae {
  file: SafetensorsFile;
  config: VaeConfig;
}

/**
 * Finds the VAE of a model: in a file of its own, or in the checkpoint.
 *
 * @param checkpoint  how errors name the checkpoint
 * @param file        its header
 * @param vae         the separate file; null for the checkpoint's own
 * @throws CheckpointError, PipelineError VAE_MISSING or VAE_MISMATCH
 */
export async function findVae(
  checkpoint: ModelFile,
  file: SafetensorsFile,
  config: ModelConfig,
  vae: ModelFile | null,
): Promise<FoundVae> {
  const vaeFile = vae ? await readHeader(vae.path) : file;
  const found = vae ? detectVae(vaeFile, config.family) : config.vae;
  if (!found) {
    throw new PipelineError(
      'VAE_MISSING',
      `${checkpoint.name} has no VAE of its own: put one into models/VAE and choose it with the option sd_vae.`,
    );
  }
  if (found.channelMult.length !== VAE_LEVELS) {
    throw new PipelineError(
      'VAE_MISMATCH',
      `Expected a VAE with ${VAE_LEVELS} levels for ${checkpoint.name} but ${vae?.name ?? 'its own'} has ${found.channelMult.length}.`,
    );
  }
  return { file: vaeFile, config: found };
}
