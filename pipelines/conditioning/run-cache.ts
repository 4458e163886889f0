/** Runs of text encoders that are kept between jobs: the same prompts need not be encoded again. */

/** Bytes kept: 30 pairs of prompt and negative prompt of SDXL, 90 of SD 1.5; 2 % of the smaller. */
export const MAX_RUN_CACHE_BYTES = 64 * 2 ** 20;

/** What one text encoder made of a batch of chunks. */
export interface EncodedChunks {
  /** f32 [chunks * 77, width]; not changed by anyone. */
  hidden: Float32Array;
  /** f32 [chunks, projectionDim]; null where the model has no use for it. */
  pooled: Float32Array | null;
}

/**
 * One per model: keys say what was encoded and how. Whole runs are kept and not single chunks,
 * because the last bits of a chunk depend on what else is in its run.
 */
export class RunCache {
  readonly #maxBytes: number;
  /** Least recently used first. */
  readonly #runs = new Map<string, EncodedChunks>();
  #bytes = 0;

  /** @param maxBytes  default MAX_RUN_CACHE_BYTES */
  constructor(maxBytes: number = MAX_RUN_CACHE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Returns what is kept under a key; undefined for nothing. */
  get(key: string): EncodedChunks | undefined {
    const run = this.#runs.get(key);
    if (run === undefined) return undefined;
    this.#runs.delete(key);
    this.#runs.set(key, run);
    return run;
  }

  /** Keeps a run; those used longest ago make room. */
  set(key: string, run: EncodedChunks): void {
    this.#drop(key);
    this.#runs.set(key, run);
    this.#bytes += sizeOf(key, run);
    for (const oldest of this.#runs.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const run = this.#runs.get(key);
    if (run === undefined) return;
    this.#runs.delete(key);
    this.#bytes -= sizeOf(key, run);
  }

  /** Bytes of all that is kept. */
  get bytes(): number {
    return this.#bytes;
  }
}

function sizeOf(key: string, { hidden, pooled }: EncodedChunks): number {
  // A character of a string takes up to two bytes.
  return hidden.byteLength + (pooled?.byteLength ?? 0) + 2 * key.length;
}
