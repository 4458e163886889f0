import { access } from 'node:fs/promises';
import path from 'node:path';
import { type FoundFile, type SkippedFile, scanFolders } from './folder-scan.ts';
import { type HashCache, legacyHash } from './hash-cache.ts';

export { HashCache } from './hash-cache.ts';
export { readModelMetadata } from './model-metadata.ts';
export { readTextWidths } from './text-widths.ts';
export {
  findVae,
  resolveVae,
  scanVaes,
  toSdVae,
  type VaeCatalogue,
  type VaeEntry,
  type VaeResolution,
} from './vae-catalogue.ts';

/** Hex digits of the SHA-256 that titles and infotexts show. */
const SHORT_HASH_DIGITS = 10;
/** Weights that a user may have put there and that are refused; see `CheckpointError` PICKLE. */
const PICKLE = /\.(ckpt|pt|pth|bin)$/i;
const SAFETENSORS = /\.safetensors$/i;
/** A VAE that lies beside its checkpoint. */
const VAE_BESIDE = /\.vae\.(safetensors|ckpt|pt)$/i;

/** One checkpoint of the catalogue. */
export interface CheckpointEntry extends FoundFile {
  /** `name [10 hex digits]`, or only the name while the hash is not known. */
  title: string;
  /** The name with `_` for separators and without extension. */
  modelName: string;
  /** File name without folder and extension; what infotexts print. */
  baseName: string;
  /** 64 hex digits, or null while it is being computed. */
  sha256: string | null;
  /** The first 10 of them. */
  shortHash: string | null;
  /** The web UI's first kind of hash, 8 hex digits. */
  legacyHash: string;
  /** Absolute path of the .yaml with the same name beside it, or null. */
  config: string | null;
}

/** All checkpoints, and how they may be called. */
export interface CheckpointCatalogue {
  /** In the order of their folders and names. */
  entries: CheckpointEntry[];
  /** Every accepted id → its checkpoint. */
  ids: Map<string, CheckpointEntry>;
  /** What lies there and is not listed: pickles, dead links. */
  skipped: SkippedFile[];
}

/**
 * Lists the checkpoints below some folders. Headers are not read: a damaged file is listed, and
 * refused with its reason when it is loaded.
 *
 * @param dirs    folders, searched to the bottom; see `scanFolders` for links
 * @param hashes  where known SHA-256 are looked up; the rest: `hashCheckpoints`
 */
export async function scanCheckpoints(
  dirs: readonly string[],
  hashes: HashCache,
): Promise<CheckpointCatalogue> {
  const scan = await scanFolders(
    dirs,
    (name) => (SAFETENSORS.test(name) || PICKLE.test(name)) && !VAE_BESIDE.test(name),
  );
  const catalogue: CheckpointCatalogue = { entries: [], ids: new Map(), skipped: scan.skipped };
  for (const file of scan.files) {
    if (PICKLE.test(file.name) || PICKLE.test(file.path)) {
      catalogue.skipped.push({
        name: file.name,
        reason: 'a pickle can run code when it is opened; convert it to .safetensors',
      });
      continue;
    }
    catalogue.entries.push({
      ...file,
      title: file.name,
      modelName: withoutExtension(file.name).replace(/[\\/]/g, '_'),
      baseName: withoutExtension(path.basename(file.name)),
      sha256: null,
      shortHash: null,
      legacyHash: await legacyHash(file.path),
      config: await findConfig(file.filename),
    });
  }
  for (const entry of catalogue.entries) applyHash(entry, hashes.get(entry));
  catalogue.ids = collectIds(catalogue.entries);
  return catalogue;
}

/**
 * Finds a checkpoint by any of the ids that the web UI accepts: title, name, model name, base name,
 * short, full or legacy hash, `name [hash]`. The id is only ever a key: no path is made from it.
 *
 * @returns null when there is none
 */
export function findCheckpoint(catalogue: CheckpointCatalogue, id: string): CheckpointEntry | null {
  return catalogue.ids.get(id) ?? null;
}

/**
 * Finds a checkpoint by an id, or else the one with the shortest title that contains the text, with
 * or without its `[hash]`: how the web UI reads names out of infotexts and refiner fields.
 *
 * @returns null when there is none
 */
export function findClosestCheckpoint(
  catalogue: CheckpointCatalogue,
  text: string,
): CheckpointEntry | null {
  if (text === '') return null;
  const exact = findCheckpoint(catalogue, text);
  if (exact !== null) return exact;
  const byLength = [...catalogue.entries].sort((a, b) => a.title.length - b.title.length);
  const bracket = text.lastIndexOf('[');
  const bare = text.endsWith(']') && bracket > 0 ? text.slice(0, bracket).trimEnd() : text;
  return (
    byLength.find((entry) => entry.title.includes(text)) ??
    byLength.find((entry) => entry.title.includes(bare)) ??
    null
  );
}

/**
 * Computes the missing hashes, one file after the other, while other work goes on. Each entry's
 * title changes as its hash becomes known.
 *
 * @param onHash  called after each
 * @param signal  ends it between two chunks; what is done so far stays
 */
export async function hashCheckpoints(
  catalogue: CheckpointCatalogue,
  hashes: HashCache,
  onHash?: (entry: CheckpointEntry) => void,
  signal?: AbortSignal,
): Promise<void> {
  for (const entry of catalogue.entries) {
    if (entry.sha256 !== null) continue;
    if (signal?.aborted) return;
    try {
      applyHash(entry, await hashes.compute(entry, signal));
    } catch {
      // Removed or unreadable meanwhile, or aborted: the entry stays without a hash.
      continue;
    }
    catalogue.ids = collectIds(catalogue.entries);
    onHash?.(entry);
  }
}

/** One element of the web UI's `GET /sdapi/v1/sd-models`. */
export interface SdModel {
  title: string;
  model_name: string;
  hash: string | null;
  sha256: string | null;
  filename: string;
  config: string | null;
}

/** Returns an entry as `GET /sdapi/v1/sd-models` shows it. */
export function toSdModel(entry: CheckpointEntry): SdModel {
  return {
    title: entry.title,
    model_name: entry.modelName,
    hash: entry.shortHash,
    sha256: entry.sha256,
    filename: entry.filename,
    config: entry.config,
  };
}

function applyHash(entry: CheckpointEntry, sha256: string | null): void {
  entry.sha256 = sha256;
  entry.shortHash = sha256?.slice(0, SHORT_HASH_DIGITS) ?? null;
  entry.title = entry.shortHash === null ? entry.name : `${entry.name} [${entry.shortHash}]`;
}

/** The surest kinds of id first: where two files share an id, the first one to claim it keeps it. */
const ID_KINDS: readonly ((entry: CheckpointEntry) => (string | null)[])[] = [
  (entry) => [entry.title, entry.name],
  (entry) => [entry.sha256, entry.shortHash],
  (entry) => [entry.modelName, `${entry.name} [${entry.legacyHash}]`],
  ({ baseName, shortHash }) => [baseName, shortHash && `${baseName} [${shortHash}]`],
  (entry) => [entry.legacyHash],
];

function collectIds(entries: readonly CheckpointEntry[]): Map<string, CheckpointEntry> {
  const ids = new Map<string, CheckpointEntry>();
  for (const kind of ID_KINDS) {
    for (const entry of entries) {
      for (const id of kind(entry)) {
        if (id !== null && id !== '' && !ids.has(id)) ids.set(id, entry);
      }
    }
  }
  return ids;
}

async function findConfig(filename: string): Promise<string | null> {
  const yaml = `${withoutExtension(filename)}.yaml`;
  try {
    await access(yaml);
    return yaml;
  } catch {
    return null;
  }
}

function withoutExtension(name: string): string {
  return name.slice(0, name.length - path.extname(name).length);
}
