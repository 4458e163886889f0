/** The two hashes by which the web UI and sites know a LoRA. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { HashCache, hashFile } from '../networks/checkpoint/hash-cache.ts';
import { readHeader } from '../networks/checkpoint/safetensors.ts';

/** Bytes hashed per turn of the event loop: about 0.3 ms each. */
const CHUNK_BYTES = 256 * 1024;

/** Known hashes, kept on disk. */
export interface LoraHashes {
  /** SHA-256 of the whole file. */
  files: HashCache;
  /** SHA-256 of the data alone, which stays the same when somebody edits the metadata. */
  bodies: HashCache;
}

/**
 * Opens the caches of both hashes.
 *
 * @param path  start of the names of the two JSON files; null keeps hashes in memory only
 */
export async function openLoraHashes(path: string | null): Promise<LoraHashes> {
  const named = (what: string) => (path === null ? null : `${path}.${what}.json`);
  return {
    files: await HashCache.open(named('files'), hashFile),
    bodies: await HashCache.open(named('bodies'), hashBody),
  };
}

/**
 * Returns the SHA-256, 64 lower-case hex digits, of what follows the header of a safetensors file:
 * kohya's `sshs_model_hash`.
 *
 * @throws CheckpointError when the header is damaged; the system's error, or AbortError
 */
export async function hashBody(path: string, signal?: AbortSignal): Promise<string> {
  const { dataOffset } = await readHeader(path);
  const hash = createHash('sha256');
  const stream = createReadStream(path, {
    start: dataOffset,
    highWaterMark: CHUNK_BYTES,
    signal,
  });
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}
