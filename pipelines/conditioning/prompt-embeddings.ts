/** Textual inversion embeddings of one job: which of them its prompts name, and their vectors. */

import { EmbeddingError } from '../../lora/embeddings/errors.ts';
import {
  type EmbeddingPart,
  type EmbeddingShape,
  type EmbeddingWidths,
  findVectors,
  fitsEncoders,
  listBundled,
  partFor,
  readVectors,
} from '../../lora/embeddings/parts.ts';
import type { LoraFile } from '../../lora/file.ts';
import type { TextEncoderConfig } from '../../networks/checkpoint/config.ts';
import { CheckpointError, quoteName } from '../../networks/checkpoint/errors.ts';
import { readHeader, type SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';
import type { EmbeddingRef } from '../job.ts';
import { type ChunkOptions, chunkPrompt } from '../prompt/chunks.ts';
import { createEmbeddingLookup, type EmbeddingLookup, noEmbeddings } from '../prompt/embeddings.ts';

/** An embedding that a prompt names and the job used. */
export interface UsedEmbedding {
  name: string;
  /** For the infotext's `TI hashes`: 12 hex digits, or the LoRA that carries it; null if unknown. */
  hash: string | null;
  vectors: number;
}

/** The embeddings of one job. */
export interface PromptEmbeddings {
  /** Finds the usable ones in a prompt. */
  lookup: EmbeddingLookup;
  /** In the order of the texts that name them first. */
  used: readonly UsedEmbedding[];
  /** One sentence for each that a prompt names and that cannot be used: its name stays text. */
  messages: readonly string[];
  /** Returns the rows of a used one for an encoder, f32 [vectors, width]. */
  vectors(name: string, role: TextEncoderConfig['role']): Float32Array;
}

/** Those of a job without any. */
export const noPromptEmbeddings: PromptEmbeddings = {
  lookup: noEmbeddings,
  used: [],
  messages: [],
  vectors: (name) => {
    throw new RangeError(`There is no embedding ${quoteName(name)}.`);
  },
};

/** An embedding that a prompt may name. */
export interface EmbeddingCandidate {
  name: string;
  vectors: number;
  widths: EmbeddingWidths;
  hash: string | null;
  fault: string | null;
  /** @throws CheckpointError, EmbeddingError */
  open(): Promise<{ file: SafetensorsFile; shape: EmbeddingShape }>;
}

/** Returns a job's embedding files as candidates. */
export function candidatesOf(refs: readonly EmbeddingRef[]): EmbeddingCandidate[] {
  return refs.map((ref) => ({
    ...ref,
    async open() {
      const file = await readHeader(ref.path);
      return { file, shape: findVectors(file.tensors) };
    },
  }));
}

/**
 * Returns the embeddings that a LoRA file carries as candidates.
 *
 * @param hash  what `TI hashes` says of them: the LoRA's name; null prints nothing
 */
export function candidatesIn(lora: LoraFile, hash: string | null): EmbeddingCandidate[] {
  return [...listBundled(lora)].map(([name, tensors]) => {
    const candidate = { name, hash, vectors: 1, widths: {}, fault: null };
    try {
      const shape = findVectors(tensors);
      const { vectors, widths } = shape;
      return { ...candidate, vectors, widths, open: async () => ({ file: lora.file, shape }) };
    } catch (error) {
      const fault = describeFault(error);
      return { ...candidate, fault, open: () => Promise.reject(error) };
    }
  });
}

/**
 * Finds the embeddings that texts name and reads their vectors. Of two of one name the first counts.
 * One that cannot be used is as if it were not there: a shorter name in its place counts.
 *
 * @param texts     all texts of the job's prompts
 * @param encoders  of the checkpoint
 * @param options   how the texts are cut, `embeddings` aside
 */
export async function preparePromptEmbeddings(
  candidates: readonly EmbeddingCandidate[],
  texts: readonly string[],
  encoders: readonly TextEncoderConfig[],
  options: ChunkOptions,
): Promise<PromptEmbeddings> {
  if (candidates.length === 0) return noPromptEmbeddings;
  const byName = new Map<string, EmbeddingCandidate>();
  for (const candidate of candidates) {
    if (!byName.has(candidate.name)) byName.set(candidate.name, candidate);
  }
  const read = new Map<string, Map<EmbeddingPart, Float32Array>>();
  const messages: string[] = [];
  for (;;) {
    const lookup = createEmbeddingLookup([...byName.values()]);
    const names = findNames(texts, { ...options, embeddings: lookup });
    const isUsable = await readAll(names, byName, encoders, read, messages);
    if (!isUsable) continue;
    const used = names.map((name) => byName.get(name) as EmbeddingCandidate);
    return {
      lookup,
      used: used.map(({ name, hash, vectors }) => ({ name, hash, vectors })),
      messages,
      vectors(name, role) {
        const { widths } = byName.get(name) as EmbeddingCandidate;
        return read.get(name)?.get(partFor(widths, role)) as Float32Array;
      },
    };
  }
}

/** Names of the embeddings in texts, each once. */
function findNames(texts: readonly string[], options: ChunkOptions): string[] {
  const fixes = texts.flatMap((text) =>
    chunkPrompt(text, options).chunks.flatMap((chunk) => chunk.fixes),
  );
  return [...new Set(fixes.map(({ name }) => name))];
}

/** Reads what is not read yet; takes out what cannot be used and returns whether all could. */
async function readAll(
  names: readonly string[],
  byName: Map<string, EmbeddingCandidate>,
  encoders: readonly TextEncoderConfig[],
  read: Map<string, Map<EmbeddingPart, Float32Array>>,
  messages: string[],
): Promise<boolean> {
  let isUsable = true;
  for (const name of names) {
    if (read.has(name)) continue;
    const candidate = byName.get(name) as EmbeddingCandidate;
    try {
      read.set(name, await readParts(candidate, encoders));
    } catch (error) {
      messages.push(`embedding ${quoteName(name)} was not applied: ${describeFault(error)}`);
      byName.delete(name);
      isUsable = false;
    }
  }
  return isUsable;
}

async function readParts(
  candidate: EmbeddingCandidate,
  encoders: readonly TextEncoderConfig[],
): Promise<Map<EmbeddingPart, Float32Array>> {
  const { widths, fault, vectors } = candidate;
  if (fault !== null) throw new EmbeddingError('NO_VECTORS', fault);
  if (!fitsEncoders(widths, encoders)) {
    const own = Object.values(widths).join(' + ');
    const needed = encoders.map(({ width }) => width).join(' + ');
    const says = `its vectors have ${own} numbers and the checkpoint's text encoders ${needed}`;
    throw new EmbeddingError('SHAPE', `it is made for another base model: ${says}`);
  }
  const { file, shape } = await candidate.open();
  const isSame = JSON.stringify(shape.widths) === JSON.stringify(widths);
  if (!isSame || shape.vectors !== vectors) {
    throw new EmbeddingError('SHAPE', 'its file changed since the folder was looked through');
  }
  return new Map([...shape.tensors].map(([part, info]) => [part, readVectors(file, info)]));
}

/** @throws what is no fault of a file */
function describeFault(error: unknown): string {
  if (error instanceof EmbeddingError || error instanceof CheckpointError) return error.message;
  throw error;
}
