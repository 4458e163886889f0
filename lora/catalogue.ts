/** Which LoRAs there are, and how they may be called. */
import path from 'node:path';
import { CheckpointError } from '../networks/checkpoint/errors.ts';
import {
  type FoundFile,
  type SkippedFile,
  scanFolders,
} from '../networks/checkpoint/folder-scan.ts';
import { readHeader } from '../networks/checkpoint/safetensors.ts';
import type { LoraHashes } from './hashes.ts';
import { decodeMetadata } from './metadata.ts';

export { MAX_LORA_BYTES } from './file.ts';
export { type LoraHashes, openLoraHashes } from './hashes.ts';
export { decodeMetadata } from './metadata.ts';

/** Hex digits of the SHA-256 that sites search by ("AutoV2"). */
const SHORT_HASH_DIGITS = 10;
/** Hex digits in the infotext's `Lora hashes`. */
const INFOTEXT_HASH_DIGITS = 12;
const WEIGHTS = /\.(safetensors|pt|ckpt)$/i;
const PICKLE = /\.(ckpt|pt|pth|bin)$/i;
const EXTENSION = /\.(safetensors|pt|ckpt)$/i;
/** Aliases that trainers write when there is none. */
const NO_ALIAS = new Set(['none', '']);

/** One LoRA of the catalogue. */
export interface LoraEntry extends FoundFile {
  /** What tags call it: its file name without extension; with its folder where another has the same. */
  loraName: string;
  /** `ss_output_name` of its metadata, else its file name without extension. */
  alias: string;
  metadata: ReadonlyMap<string, string>;
  /** Why it cannot be used, as far as the header tells; null when it can. */
  fault: string | null;
  /** SHA-256 of the whole file, 64 hex digits; null while it is being computed. */
  sha256: string | null;
  /** The first 10 of them. */
  shortHash: string | null;
  /** 12 hex digits of kohya's hash, for the infotext; null while it is being computed. */
  infotextHash: string | null;
}

/** All LoRAs below some folders. */
export interface LoraCatalogue {
  /** In the order of their folders and names. */
  entries: LoraEntry[];
  /** Every accepted key → its LoRA. */
  ids: ReadonlyMap<string, LoraEntry>;
  /** What lies there and is not listed: pickles, dead links. */
  skipped: SkippedFile[];
  /** Those of them that are pickles. */
  pickles: FoundFile[];
}

/**
 * Lists the LoRAs below some folders, to the bottom. A damaged file is listed with its fault.
 *
 * @param dirs      see `scanFolders` for links
 * @param hashes    where known hashes are looked up; the rest: `hashLoras`
 * @param previous  catalogue of the last scan: headers of unchanged files are not read again
 */
export async function scanLoras(
  dirs: readonly string[],
  hashes: LoraHashes,
  previous?: LoraCatalogue,
): Promise<LoraCatalogue> {
  const scan = await scanFolders(dirs, (name) => WEIGHTS.test(name));
  const known = new Map(previous?.entries.map((entry) => [entry.path, entry]));
  const entries: LoraEntry[] = [];
  const skipped = [...scan.skipped];
  const pickles: FoundFile[] = [];
  for (const file of scan.files) {
    if (PICKLE.test(file.name) || PICKLE.test(file.path)) {
      const reason = 'a pickle can run code when it is opened; convert it to .safetensors';
      skipped.push({ name: file.name, reason });
      pickles.push(file);
      continue;
    }
    const header = await readMetadata(file, known.get(file.path));
    const base = baseName(file.name);
    const alias = header.metadata.get('ss_output_name') ?? '';
    const entry: LoraEntry = {
      ...file,
      ...header,
      loraName: base,
      alias: NO_ALIAS.has(alias.toLowerCase()) ? base : alias,
      sha256: null,
      shortHash: null,
      infotextHash: null,
    };
    applyHashes(entry, hashes);
    entries.push(entry);
  }
  tellTwinsApart(entries);
  return { entries, ids: collectIds(entries), skipped, pickles };
}

/** Of files with one name the one in the outermost folder keeps it, the others go by their folders, too. */
function tellTwinsApart(entries: readonly LoraEntry[]): void {
  const depthOf = ({ name }: LoraEntry) => withSlashes(name).split('/').length;
  const owners = new Map<string, LoraEntry>();
  for (const entry of entries) {
    const owner = owners.get(entry.loraName);
    if (!owner || depthOf(entry) < depthOf(owner)) owners.set(entry.loraName, entry);
  }
  for (const entry of entries) {
    if (owners.get(entry.loraName) !== entry) {
      entry.loraName = withoutExtension(withSlashes(entry.name));
    }
  }
}

async function readMetadata(
  file: FoundFile,
  known: LoraEntry | undefined,
): Promise<Pick<LoraEntry, 'metadata' | 'fault'>> {
  if (known?.bytes === file.bytes && known.mtimeMs === file.mtimeMs) {
    return { metadata: known.metadata, fault: known.fault };
  }
  try {
    return { metadata: (await readHeader(file.path)).metadata, fault: null };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return { metadata: new Map(), fault: error.message };
  }
}

/**
 * Finds a LoRA by name: file name without extension, the same with folder or extension, alias.
 * Upper and lower case differ. The name is only ever a key: no path is made from it.
 *
 * Where a client sends a path of its own making, its last part counts.
 *
 * @returns null when there is none
 */
export function findLora(catalogue: LoraCatalogue, name: string): LoraEntry | null {
  const { ids } = catalogue;
  const key = withSlashes(name);
  return ids.get(name) ?? ids.get(key) ?? ids.get(key.slice(key.lastIndexOf('/') + 1)) ?? null;
}

/** Finds a pickle by its name, with or without folder and extension; null when there is none. */
export function findPickle({ pickles }: LoraCatalogue, name: string): FoundFile | null {
  const namesOf = (file: FoundFile): string[] => {
    const own = withSlashes(file.name);
    return [own, path.basename(file.name)].flatMap((one) => [one, withoutExtension(one)]);
  };
  return pickles.find((file) => namesOf(file).includes(withSlashes(name))) ?? null;
}

/** The surest kinds of key first: where two files share a key, the first one to claim it keeps it. */
function collectIds(entries: readonly LoraEntry[]): Map<string, LoraEntry> {
  const ids = new Map<string, LoraEntry>();
  const add = (id: string, entry: LoraEntry) => {
    if (!ids.has(id)) ids.set(id, entry);
  };
  for (const entry of entries) add(entry.loraName, entry);
  for (const entry of entries) add(withSlashes(entry.name), entry);
  for (const entry of entries) add(withoutExtension(withSlashes(entry.name)), entry);
  for (const entry of entries) add(path.basename(entry.name), entry);
  // An alias that several files share names none of them, as in the web UI.
  const owners = new Map<string, number>();
  for (const { alias } of entries) {
    owners.set(alias.toLowerCase(), (owners.get(alias.toLowerCase()) ?? 0) + 1);
  }
  for (const entry of entries) {
    if (owners.get(entry.alias.toLowerCase()) === 1) add(entry.alias, entry);
  }
  return ids;
}

/** An entry as `planLoras` takes it. */
export function toLoraRef(entry: LoraEntry): { name: string; path: string; hash: string | null } {
  return { name: entry.loraName, path: entry.path, hash: entry.infotextHash };
}

/** An element of the web UI's `GET /sdapi/v1/loras`. */
export interface LoraItem {
  name: string;
  alias: string;
  path: string;
  metadata: Record<string, unknown>;
}

/** Returns an entry as `GET /sdapi/v1/loras` shows it. */
export function toLoraItem(entry: LoraEntry): LoraItem {
  const { loraName: name, alias, filename, metadata } = entry;
  return { name, alias, path: filename, metadata: decodeMetadata(metadata) };
}

/**
 * Computes the missing hashes, one file after the other, while other work goes on.
 *
 * @param signal  ends it between two chunks; what is done so far stays
 */
export async function hashLoras(
  catalogue: Pick<LoraCatalogue, 'entries'>,
  hashes: LoraHashes,
  signal?: AbortSignal,
): Promise<void> {
  for (const entry of catalogue.entries) {
    if (entry.sha256 !== null && entry.infotextHash !== null) continue;
    if (signal?.aborted) return;
    try {
      await hashes.files.compute(entry, signal);
      if (statedHash(entry) === null) await hashes.bodies.compute(entry, signal);
    } catch {
      // Removed, unreadable or damaged, or aborted: what is not known stays null.
    }
    applyHashes(entry, hashes);
  }
}

function applyHashes(entry: LoraEntry, { files, bodies }: LoraHashes): void {
  entry.sha256 = files.get(entry);
  entry.shortHash = entry.sha256?.slice(0, SHORT_HASH_DIGITS) ?? null;
  const hash = statedHash(entry) ?? bodies.get(entry);
  entry.infotextHash = hash?.slice(0, INFOTEXT_HASH_DIGITS) ?? null;
}

/** kohya's own hash of the data; a stranger's string is only taken when it can be one. */
function statedHash({ metadata }: LoraEntry): string | null {
  const hash = metadata.get('sshs_model_hash') ?? '';
  return /^[0-9a-f]{12,128}$/i.test(hash) ? hash : null;
}

function baseName(name: string): string {
  return withoutExtension(path.basename(name));
}

function withoutExtension(name: string): string {
  return name.replace(EXTENSION, '');
}

function withSlashes(name: string): string {
  return name.replaceAll('\\', '/');
}
