import { CheckpointError } from './errors.ts';
import { readHeader } from './safetensors.ts';

/** Returns what a model file's `__metadata__` says; empty when the file cannot be read. */
export async function readModelMetadata(path: string): Promise<ReadonlyMap<string, string>> {
  try {
    return (await readHeader(path)).metadata;
  } catch (error) {
    if (error instanceof CheckpointError) return new Map();
    throw error;
  }
}
