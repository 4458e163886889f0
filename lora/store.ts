/** LoRA files in memory: headers and factors of those used last, as much as a limit allows. */
import { setImmediate } from 'node:timers/promises';
import { isUnchanged } from '../networks/checkpoint/safetensors.ts';
import { FeedComposer } from './compose.ts';
import { readFactors } from './factors.ts';
import { type FedFactors, packFactors } from './fed-factors.ts';
import { type LoraFile, type LoraModule, readLoraFile } from './file.ts';
import type { Matches } from './match.ts';

/**
 * Bytes of factors that are kept when no job uses them. A LoRA for all of SDXL at rank 64 has 0.46 GB,
 * as its file; attention alone, as most are, less than half of that.
 */
export const MAX_CACHED_BYTES = 2 ** 30;

/** Modules read between two turns of the event loop, so that an interruption is heard. */
const MODULES_PER_TURN = 64;

/** A file and what was read of it. */
export interface LoadedLora {
  lora: LoraFile;
  /** Factors by module name. */
  factors: Map<string, FedFactors>;
  bytes: number;
  /** Its modules against the checkpoint's layers, once they were compared. */
  matches: Matches | null;
}

/** Makes the factors of a module. */
export type FactorReader = (lora: LoraFile, module: LoraModule) => FedFactors;

/** One per checkpoint in use. Files are keyed by path and read anew when they changed on disk. */
export class LoraStore {
  readonly #maxBytes: number;
  /** Least recently used first. */
  readonly #files = new Map<string, LoadedLora>();
  readonly #composers = new Map<string, FeedComposer>();

  /** @param maxBytes  bytes of factors to keep beside those in use; default MAX_CACHED_BYTES */
  constructor(maxBytes: number = MAX_CACHED_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Returns a file with its header read; factors as far as they were read before.
   *
   * @throws CheckpointError, LoraError
   */
  async open(path: string): Promise<LoadedLora> {
    const known = this.#files.get(path);
    this.#files.delete(path);
    const loaded =
      known && isUnchanged(known.lora.file)
        ? known
        : { lora: await readLoraFile(path), factors: new Map(), bytes: 0, matches: null };
    this.#files.set(path, loaded);
    return loaded;
  }

  /**
   * Reads the factors of some modules, unless they are there. Files used longest ago make room.
   *
   * @throws CheckpointError, LoraError; what was read so far stays
   */
  async readFactors(
    loaded: LoadedLora,
    modules: readonly LoraModule[],
    read: FactorReader = (lora, module) => packFactors(readFactors(lora, module)),
  ): Promise<void> {
    let count = 0;
    for (const module of modules) {
      if (loaded.factors.has(module.name)) continue;
      const factors = read(loaded.lora, module);
      loaded.factors.set(module.name, factors);
      loaded.bytes += factors.down.byteLength + factors.up.byteLength;
      if (++count % MODULES_PER_TURN === 0) await setImmediate();
    }
    this.#makeRoom(loaded);
  }

  #makeRoom(inUse: LoadedLora): void {
    let bytes = this.bytes;
    for (const [path, loaded] of this.#files) {
      if (bytes <= this.#maxBytes) return;
      if (loaded === inUse) continue;
      this.#files.delete(path);
      bytes -= loaded.bytes;
    }
  }

  /** Bytes of all factors kept. */
  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#files.values()) sum += bytes;
    return sum;
  }

  /** The composer of one network; see `FeedComposer`. */
  composer(network: string): FeedComposer {
    const composer = this.#composers.get(network) ?? new FeedComposer();
    this.#composers.set(network, composer);
    return composer;
  }

  /** Lets go of everything; the next job reads again. */
  clear(): void {
    this.#files.clear();
    this.#composers.clear();
  }
}
