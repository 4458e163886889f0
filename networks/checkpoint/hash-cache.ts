import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { FoundFile } from './folder-scan.ts';

/** Bytes hashed per turn of the event loop: about 0.3 ms each. */
const CHUNK_BYTES = 256 * 1024;
/** Largest cache file that is read. An entry has about 200 bytes. */
const MAX_CACHE_BYTES = 16 * 1024 * 1024;
/** The web UI's first kind of hash covers this part of the file only. */
const LEGACY_OFFSET = 0x100000;
const LEGACY_BYTES = 0x10000;

/** The file that a hash belongs to: a hash is valid as long as all three are the same. */
export type HashedFile = Pick<FoundFile, 'path' | 'bytes' | 'mtimeMs'>;

interface CacheEntry {
  bytes: number;
  mtimeMs: number;
  sha256: string;
}

/**
 * SHA-256 of weights files, kept on disk because a file of 7 GB takes seconds.
 *
 * The cache is only a cache: a missing, damaged or unwritable file costs time, never an error.
 */
export class HashCache {
  readonly #path: string | null;
  readonly #hash: typeof hashFile;
  readonly #entries = new Map<string, CacheEntry>();
  #saving: Promise<void> = Promise.resolve();

  private constructor(path: string | null, hash: typeof hashFile) {
    this.#path = path;
    this.#hash = hash;
  }

  /**
   * Reads the cache.
   *
   * @param path  the JSON file; null keeps hashes in memory only
   * @param hash  what is hashed: the whole file, or a part of it
   */
  static async open(path: string | null, hash: typeof hashFile = hashFile): Promise<HashCache> {
    const cache = new HashCache(path, hash);
    await cache.#read();
    return cache;
  }

  /** Takes over what the file has and this cache does not know. */
  async #read(): Promise<void> {
    if (this.#path === null) return;
    try {
      const text = await readFile(this.#path, 'utf8');
      if (text.length <= MAX_CACHE_BYTES) this.#load(JSON.parse(text));
    } catch {
      // First start, or a damaged file: begin anew.
    }
  }

  /** Returns the hash, 64 lower-case hex digits, when the file is unchanged since it was made. */
  get(file: HashedFile): string | null {
    const entry = this.#entries.get(file.path);
    if (entry === undefined) return null;
    return entry.bytes === file.bytes && entry.mtimeMs === file.mtimeMs ? entry.sha256 : null;
  }

  /**
   * Returns the hash, reading the file when it is not known. Other work goes on meanwhile.
   *
   * @throws the system's error when the file cannot be read; AbortError when the signal says so
   */
  async compute(file: HashedFile, signal?: AbortSignal): Promise<string> {
    const known = this.get(file);
    if (known !== null) return known;
    const sha256 = await this.#hash(file.path, signal);
    this.#entries.set(file.path, { bytes: file.bytes, mtimeMs: file.mtimeMs, sha256 });
    await this.#save();
    return sha256;
  }

  #load(data: unknown): void {
    if (typeof data !== 'object' || data === null) return;
    for (const [path, entry] of Object.entries(data)) {
      if (isEntry(entry) && !this.#entries.has(path)) this.#entries.set(path, entry);
    }
  }

  /**
   * Writes one at a time, to a file beside it that is then renamed: never half a cache. What another
   * server wrote there meanwhile stays.
   */
  #save(): Promise<void> {
    const path = this.#path;
    if (path === null) return Promise.resolve();
    const write = async (): Promise<void> => {
      const part = `${path}.${randomUUID()}.part`;
      await this.#read();
      try {
        await writeFile(part, JSON.stringify(Object.fromEntries(this.#entries), null, 1));
        await rename(part, path);
      } catch {
        await rm(part, { force: true }).catch(() => undefined);
      }
    };
    this.#saving = this.#saving.then(write);
    return this.#saving;
  }
}

function isEntry(entry: unknown): entry is CacheEntry {
  if (typeof entry !== 'object' || entry === null) return false;
  const { bytes, mtimeMs, sha256 } = entry as Record<string, unknown>;
  return (
    typeof bytes === 'number' &&
    typeof mtimeMs === 'number' &&
    typeof sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(sha256)
  );
}

/**
 * Returns the SHA-256 of a whole file as 64 lower-case hex digits.
 *
 * @throws the system's error, or AbortError
 */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const stream = createReadStream(path, { highWaterMark: CHUNK_BYTES, signal });
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * Returns the web UI's first kind of hash: 8 hex digits of the SHA-256 over 64 KiB at 1 MiB (over
 * nothing when the file is shorter); 'NOFILE' when it cannot be read, as there.
 */
export async function legacyHash(path: string): Promise<string> {
  try {
    const handle = await open(path, 'r');
    try {
      const { bytesRead, buffer } = await handle.read(
        Buffer.alloc(LEGACY_BYTES),
        0,
        LEGACY_BYTES,
        LEGACY_OFFSET,
      );
      return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex').slice(0, 8);
    } finally {
      await handle.close();
    }
  } catch {
    return 'NOFILE';
  }
}
