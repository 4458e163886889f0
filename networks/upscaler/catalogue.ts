/** The upscalers that requests may name: three built-in ones and the files of two folders. */
import path from 'node:path';
import { compareNames, type SkippedFile, scanFolders } from '../checkpoint/folder-scan.ts';
import { readHeader } from '../checkpoint/safetensors.ts';
import { detectUpscaler } from './detect.ts';

const WEIGHTS = /\.(safetensors|ckpt|pt|pth|bin)$/i;
const PICKLE = /\.(ckpt|pt|pth|bin)$/i;
const PICKLE_REASON =
  'a pickle can run code when it is opened; convert it to .safetensors (any .pth converter does)';

/** What the web UI calls Real-ESRGAN's own files. */
const FRIENDLY_NAMES: Readonly<Record<string, string>> = {
  'realesr-animevideov3': 'R-ESRGAN AnimeVideo',
  'realesr-general-x4v3': 'R-ESRGAN General 4xV3',
  'realesr-general-wdn-x4v3': 'R-ESRGAN General WDN 4xV3',
  RealESRGAN_x4plus: 'R-ESRGAN 4x+',
  RealESRGAN_x4plus_anime_6B: 'R-ESRGAN 4x+ Anime6B',
  RealESRGAN_x2plus: 'R-ESRGAN 2x+',
};

/** The factor that the web UI tells for upscalers that are no model. */
const BUILT_IN_SCALE = 4;

/** An upscaler. */
export interface UpscalerEntry {
  /** What requests call it. */
  name: string;
  /** File name without extension; accepted, too. */
  alias: string;
  kind: 'none' | 'lanczos' | 'nearest' | 'model';
  family: 'built-in' | 'esrgan' | 'realesrgan';
  /** Path as found; null for the built-in ones. */
  filename: string | null;
  /** The same with symbolic links resolved. */
  path: string | null;
  /** Output pixels per input pixel and side. */
  scale: number;
}

/** All upscalers, and the files that are not listed. */
export interface UpscalerCatalogue {
  /** The built-in ones, then by name in lower case. */
  entries: readonly UpscalerEntry[];
  skipped: readonly SkippedFile[];
}

const BUILT_IN: readonly UpscalerEntry[] = (['None', 'Lanczos', 'Nearest'] as const).map(
  (name) => ({
    name,
    alias: name,
    kind: name.toLowerCase() as 'none' | 'lanczos' | 'nearest',
    family: 'built-in',
    filename: null,
    path: null,
    scale: BUILT_IN_SCALE,
  }),
);

/**
 * Lists the upscalers; the header of each file is read, so that only those are listed that can be run.
 *
 * @param dirs  one folder per family; missing ones are passed over
 */
export async function scanUpscalers(dirs: {
  esrgan: string;
  realesrgan: string;
}): Promise<UpscalerCatalogue> {
  const entries: UpscalerEntry[] = [];
  const skipped: SkippedFile[] = [];
  for (const family of ['esrgan', 'realesrgan'] as const) {
    const scan = await scanFolders([dirs[family]], (name) => WEIGHTS.test(name));
    skipped.push(...scan.skipped);
    for (const { name, filename, path: real } of scan.files) {
      if (PICKLE.test(name) || PICKLE.test(real)) {
        skipped.push({ name, reason: PICKLE_REASON });
        continue;
      }
      try {
        const { scale } = detectUpscaler(await readHeader(real));
        const alias = path.basename(name, path.extname(name));
        const friendly = family === 'realesrgan' ? FRIENDLY_NAMES[alias] : undefined;
        entries.push({
          name: friendly ?? alias,
          alias,
          kind: 'model',
          family,
          filename,
          path: real,
          scale,
        });
      } catch (error) {
        skipped.push({ name, reason: error instanceof Error ? error.message : String(error) });
      }
    }
  }
  entries.sort((a, b) => compareNames(a.name, b.name));
  return { entries: [...BUILT_IN, ...entries], skipped };
}

/** Finds an upscaler by its name, else by its file's; null when there is none. */
export function findUpscaler({ entries }: UpscalerCatalogue, name: string): UpscalerEntry | null {
  const friendly = FRIENDLY_ALIASES.get(name);
  return (
    entries.find((entry) => entry.name === name) ??
    entries.find((entry) => entry.alias === name || entry.alias === friendly) ??
    null
  );
}

/** Why a file that a request names is not listed; null when there is no such file. */
export function whySkipped({ skipped }: UpscalerCatalogue, name: string): string | null {
  const friendly = FRIENDLY_ALIASES.get(name);
  const found = skipped.find((file) => {
    const base = path.basename(file.name, path.extname(file.name));
    return base === name || base === friendly || path.basename(file.name) === name;
  });
  return found === undefined ? null : `${path.basename(found.name)}: ${found.reason}`;
}

const FRIENDLY_ALIASES = new Map(
  Object.entries(FRIENDLY_NAMES).map(([alias, name]) => [name, alias]),
);

/** One element of the web UI's `GET /sdapi/v1/upscalers`. */
export interface UpscalerRow {
  name: string;
  model_name: string | null;
  model_path: string | null;
  model_url: null;
  scale: number;
}

/** Returns an entry as `GET /sdapi/v1/upscalers` shows it. */
export function toUpscalerRow({ name, family, filename, scale }: UpscalerEntry): UpscalerRow {
  return {
    name,
    model_name: family === 'esrgan' ? 'ESRGAN_4x' : null,
    model_path: filename,
    model_url: null,
    scale,
  };
}
