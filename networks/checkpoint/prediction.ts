import fs from 'node:fs';
import type { Family, Prediction, Variant } from './config.ts';
import { CheckpointError } from './errors.ts';
import type { SafetensorsFile } from './safetensors.ts';

/** Largest .yaml beside a checkpoint that is looked at, in bytes. The originals have about 2,000. */
const MAX_YAML_BYTES = 64 * 1024;

/** What is known about a network's output. */
export interface PredictionFacts {
  prediction: Prediction;
  predictionUncertain: boolean;
  zeroTerminalSnr: boolean;
}

/**
 * The experiment that tells SD 2.x eps and v networks apart, for the engine to run when
 * `predictionUncertain` is set. The UNet is called once with a latent of all `sample`, a
 * conditioning of all `context`, at the noisiest timestep. An eps network finds noise, its output
 * stays near the input; a v network answers about minus the picture. It predicts v when
 * mean(output - input) < `threshold`. The web UI and stable-diffusion.cpp use the same experiment.
 */
export const V_PROBE = {
  latentSize: 8,
  sample: 0.5,
  contextTokens: 2,
  context: 0.5,
  timestep: 999,
  threshold: -1,
} as const;

/**
 * Finds out what a checkpoint predicts: from the .yaml beside it (the web UI's way of saying so),
 * then the marker tensors `v_pred` and `ztsnr` (NoobAI and its kin), then the metadata. Without any
 * of these it is eps, as nearly all checkpoints are; only plain SD 2.x is then marked uncertain.
 *
 * @param yamlPath  the .yaml to read; null when there is none
 * @throws CheckpointError EDM for noise levels of Karras et al. 2022, which no sampler here has
 */
export function detectPrediction(
  file: SafetensorsFile,
  family: Family,
  variant: Variant,
  yamlPath: string | null,
): PredictionFacts {
  for (const marker of ['edm_vpred.sigma_max', 'edm_mean']) {
    if (file.tensors.has(marker)) {
      throw new CheckpointError(
        'EDM',
        file.path,
        'This checkpoint (CosXL, Playground 2.5 ...) was trained with EDM noise levels, which cannot be run.',
        marker,
      );
    }
  }
  const zeroTerminalSnr = file.tensors.has('ztsnr');
  const stated =
    (yamlPath === null ? null : readYaml(yamlPath)) ??
    (file.tensors.has('v_pred') ? 'v' : null) ??
    readMetadata(file);
  return {
    prediction: stated ?? 'eps',
    predictionUncertain: stated === null && family === 'sd2' && variant === 'base',
    zeroTerminalSnr,
  };
}

/** `modelspec.prediction_type` of the ModelSpec standard; ComfyUI writes `predict_key`. */
function readMetadata(file: SafetensorsFile): Prediction | null {
  for (const key of ['modelspec.prediction_type', 'modelspec.predict_key']) {
    const value = file.metadata.get(key)?.trim().toLowerCase();
    if (value === 'v' || value === 'v_prediction' || value === 'v-prediction') return 'v';
    if (value === 'epsilon' || value === 'eps') return 'eps';
  }
  return null;
}

/** A line such as `parameterization: "v"`; comments do not match, the value may be quoted. */
const PARAMETERIZATION = /^[ \t]*parameterization[ \t]*:[ \t]*["']?(v|eps)["']?[ \t]*(?:#.*)?\r?$/m;
/** SDXL's configuration names a class instead. */
const SCALING = /^[ \t]*target[ \t]*:[ \t]*["']?[\w.]*\.(V|Eps)Scaling["']?[ \t]*(?:#.*)?\r?$/m;

function readYaml(yamlPath: string): Prediction | null {
  let text: string;
  try {
    const stats = fs.statSync(yamlPath, { throwIfNoEntry: false });
    if (!stats?.isFile() || stats.size > MAX_YAML_BYTES) return null;
    text = fs.readFileSync(yamlPath, 'utf8');
  } catch {
    // An unreadable configuration is as good as none: the other signs decide.
    return null;
  }
  const found = PARAMETERIZATION.exec(text)?.[1] ?? SCALING.exec(text)?.[1];
  if (found === undefined) return null;
  return found.toLowerCase() === 'v' ? 'v' : 'eps';
}
