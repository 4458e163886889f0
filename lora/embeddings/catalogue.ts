/** Which textual inversion embeddings there are, and how prompts call them. */
import path from 'node:path';
import { CheckpointError } from '../../networks/checkpoint/errors.ts';
import {
  type FoundFile,
  type SkippedFile,
  scanFolders,
} from '../../networks/checkpoint/folder-scan.ts';
import { HashCache } from '../../networks/checkpoint/hash-cache.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { EmbeddingError } from './errors.ts';
import {
  type EmbeddingWidths,
  type EncoderWidth,
  findVectors,
  fitsEncoders,
  MAX_EMBEDDING_BYTES,
} from './parts.ts';

export type { EncoderWidth };
export { HashCache };

/** Hex digits in the infotext's `TI hashes`. */
const INFOTEXT_HASH_DIGITS = 12;
const WEIGHTS = /\.(safetensors|pt|bin|ckpt|pth)$/i;
const PICKLE = /\.(pt|bin|ckpt|pth)$/i;

/** One file of the embeddings folder. */
export interface EmbeddingEntry extends FoundFile {
  /** What prompts call it: its file name without extension. */
  embeddingName: string;
  /** Tokens of a prompt that it takes; 0 when it cannot be used. */
  vectors: number;
  widths: EmbeddingWidths;
  /** Why it cannot be used, as far as the header tells; null when it can. */
  fault: string | null;
}

/** All embeddings below some folders. */
export interface EmbeddingCatalogue {
  /** In the order of their folders and names; no two of one name. */
  entries: EmbeddingEntry[];
  skipped: SkippedFile[];
}

/**
 * Lists the embeddings below some folders, to the bottom. Of two files with one name the first
 * counts. A file that cannot be used is listed with its fault. Pictures are passed over: most of
 * them are previews, and vectors hidden in pictures are not read.
 *
 * @param previous  catalogue of the last scan: headers of unchanged files are not read again
 */
export async function scanEmbeddings(
  dirs: readonly string[],
  previous?: EmbeddingCatalogue,
): Promise<EmbeddingCatalogue> {
  const scan = await scanFolders(dirs, (name) => WEIGHTS.test(name));
  const known = new Map(previous?.entries.map((entry) => [entry.path, entry]));
  const entries = new Map<string, EmbeddingEntry>();
  const skipped = [...scan.skipped];
  for (const file of scan.files) {
    const embeddingName = path.basename(file.name).replace(WEIGHTS, '');
    const twin = entries.get(embeddingName);
    // A safetensors file beside the pickle that it was made of takes its place.
    if (twin && (twin.fault === null || PICKLE.test(file.name))) {
      skipped.push({ name: file.name, reason: `${twin.name} has the same name` });
      continue;
    }
    const old = known.get(file.path);
    const isKnown = old?.bytes === file.bytes && old.mtimeMs === file.mtimeMs;
    const read = isKnown ? old : await readShape(file);
    const { vectors, widths, fault } = read;
    entries.set(embeddingName, { ...file, embeddingName, vectors, widths, fault });
  }
  return { entries: [...entries.values()], skipped };
}

async function readShape(
  file: FoundFile,
): Promise<Pick<EmbeddingEntry, 'vectors' | 'widths' | 'fault'>> {
  const refuse = (fault: string) => ({ vectors: 0, widths: {}, fault });
  if (PICKLE.test(file.name) || PICKLE.test(file.path)) {
    return refuse('a pickle can run code when it is opened; convert it to .safetensors');
  }
  if (file.bytes > MAX_EMBEDDING_BYTES) {
    return refuse(`it has ${file.bytes} bytes and an embedding at most ${MAX_EMBEDDING_BYTES}`);
  }
  try {
    const { vectors, widths } = findVectors((await readHeader(file.path)).tensors);
    return { vectors, widths, fault: null };
  } catch (error) {
    if (error instanceof EmbeddingError || error instanceof CheckpointError) {
      return refuse(error.message);
    }
    throw error;
  }
}

/**
 * Lists the embeddings whose names may stand in a prompt: a superset of those that do, found
 * without a tokenizer. What a schedule or brackets leave of a prompt is some of its letters in their
 * order, so a name that stands there is, too.
 */
export function findCandidates(
  { entries }: EmbeddingCatalogue,
  prompts: readonly string[],
): EmbeddingEntry[] {
  const texts = prompts.map(plain);
  return entries.filter(({ embeddingName }) => {
    const name = plain(embeddingName);
    return name !== '' && texts.some((text) => hasInOrder(text, name));
  });
}

/** As the tokenizer sees letters: composed, lower case, white space of no account. */
function plain(text: string): string {
  return text.normalize('NFC').replaceAll('Σ', 'σ').toLowerCase().replace(/\s+/g, '');
}

function hasInOrder(text: string, letters: string): boolean {
  let at = -1;
  for (const letter of letters) {
    at = text.indexOf(letter, at + 1);
    if (at === -1) return false;
  }
  return true;
}

/** Returns the 12 hex digits of `TI hashes`; null when the hash is not known yet. */
export function shortHashOf(entry: EmbeddingEntry, hashes: HashCache): string | null {
  return hashes.get(entry)?.slice(0, INFOTEXT_HASH_DIGITS) ?? null;
}

/** A member of the web UI's `GET /sdapi/v1/embeddings`. */
export interface EmbeddingItem {
  /** Training steps and checkpoint: safetensors files do not say. */
  step: null;
  sd_checkpoint: null;
  sd_checkpoint_name: null;
  /** Width of one vector, SDXL's two parts together. */
  shape: number;
  vectors: number;
}

/**
 * Returns the catalogue as `GET /sdapi/v1/embeddings` shows it: what the checkpoint can use, and what
 * it cannot because of the width. Files that no checkpoint can use are in neither.
 *
 * @param encoders  of the checkpoint; null when it is not known: then all count as loaded
 */
export function toEmbeddingLists(
  { entries }: EmbeddingCatalogue,
  encoders: readonly EncoderWidth[] | null,
): { loaded: Record<string, EmbeddingItem>; skipped: Record<string, EmbeddingItem> } {
  const list = (wanted: boolean) =>
    Object.fromEntries(
      entries
        .filter(({ fault }) => fault === null)
        .filter(({ widths }) => (encoders === null || fitsEncoders(widths, encoders)) === wanted)
        .map((entry) => [entry.embeddingName, toItem(entry)]),
    );
  return { loaded: list(true), skipped: list(false) };
}

function toItem({ widths, vectors }: EmbeddingEntry): EmbeddingItem {
  const shape = Object.values(widths).reduce((sum, width) => sum + width, 0);
  return { step: null, sd_checkpoint: null, sd_checkpoint_name: null, shape, vectors };
}
