import path from 'node:path';
import { compareNames, type FoundFile, type SkippedFile, scanFolders } from './folder-scan.ts';

const WEIGHTS = /\.(safetensors|ckpt|pt|pth|bin)$/i;
/** Links are judged by their own name and by what they lead to (which may have no extension). */
const PICKLE = /\.(ckpt|pt|pth|bin)$/i;
/** How VAEs are named that lie among checkpoints. */
const BESIDE_CHECKPOINT = /\.vae\.(safetensors|ckpt|pt)$/i;

/** A separate VAE file. */
export interface VaeEntry extends FoundFile {
  /** File name with extension: what the web UI calls it by. */
  modelName: string;
}

/** All separate VAE files, by file name. */
export interface VaeCatalogue {
  entries: VaeEntry[];
  names: Map<string, VaeEntry>;
  skipped: SkippedFile[];
}

/**
 * Lists the VAE files: all weights below the VAE folders, and `*.vae.safetensors` below the
 * checkpoint folders.
 *
 * Two files of the same name: the one in a VAE folder is kept, as in the web UI.
 */
export async function scanVaes(
  vaeDirs: readonly string[],
  checkpointDirs: readonly string[],
): Promise<VaeCatalogue> {
  const inFolders = await scanFolders(vaeDirs, (name) => WEIGHTS.test(name));
  const beside = await scanFolders(checkpointDirs, (name) => BESIDE_CHECKPOINT.test(name));
  const catalogue: VaeCatalogue = {
    entries: [],
    names: new Map(),
    skipped: [...inFolders.skipped, ...beside.skipped],
  };
  for (const file of [...inFolders.files, ...beside.files]) {
    const modelName = path.basename(file.name);
    if (PICKLE.test(file.name) || PICKLE.test(file.path)) {
      catalogue.skipped.push({
        name: file.name,
        reason: 'a pickle can run code when it is opened; convert it to .safetensors',
      });
    } else if (!catalogue.names.has(modelName)) {
      const entry = { ...file, modelName };
      catalogue.names.set(modelName, entry);
      catalogue.entries.push(entry);
    }
  }
  catalogue.entries.sort((a, b) => compareNames(a.modelName, b.modelName));
  return catalogue;
}

/** Finds a VAE by its file name; null when there is none. The name is a key, never a path. */
export function findVae(catalogue: VaeCatalogue, name: string): VaeEntry | null {
  return catalogue.names.get(name) ?? null;
}

/** Which VAE a setting means for a checkpoint. */
export interface VaeResolution {
  /** null: the checkpoint's own. */
  vae: VaeEntry | null;
  /** `unknown`: the setting names a file that is not there; its own VAE is used instead. */
  source: 'none' | 'beside the checkpoint' | 'setting' | 'unknown';
}

/**
 * Resolves the option `sd_vae` for a checkpoint.
 *
 * `None`: its own. `Automatic`: the VAE whose file name starts with the checkpoint's base name and
 * a dot (`model.vae.safetensors` goes with `model.safetensors`), else its own. The web UI does
 * not ask for the dot, so there `a.safetensors` takes `anime.vae.safetensors`; here it does not.
 *
 * @param baseName  the checkpoint's file name without extension
 */
export function resolveVae(
  catalogue: VaeCatalogue,
  setting: string,
  baseName: string,
): VaeResolution {
  if (setting === 'None') return { vae: null, source: 'none' };
  if (setting === 'Automatic' || setting === 'auto') {
    const vae =
      findVae(catalogue, `${baseName}.vae.safetensors`) ??
      catalogue.entries.find((entry) => entry.modelName.startsWith(`${baseName}.`));
    return vae === undefined
      ? { vae: null, source: 'none' }
      : { vae, source: 'beside the checkpoint' };
  }
  const vae = findVae(catalogue, setting);
  return vae === null ? { vae: null, source: 'unknown' } : { vae, source: 'setting' };
}

/** Returns an entry as `GET /sdapi/v1/sd-vae` shows it. */
export function toSdVae(entry: VaeEntry): { model_name: string; filename: string } {
  return { model_name: entry.modelName, filename: entry.filename };
}
