/** Weights with LoRAs merged in. */
import { createHash } from 'node:crypto';
import { changesBias, type Merge, mergeTensors } from '../../lora/merge.ts';
import type { SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';

/**
 * Bytes of merged weights that are kept beside those in use: of SD 1.5 all of the UNet's attention at
 * two weights.
 */
export const MAX_KEPT_BYTES = 2 ** 30;

/** What tells sets of merges apart. */
export interface MergeKeys {
  /** Files as they are on disk, layers and weights, in order. */
  values: string;
  /** The tensors that are replaced, whatever by. */
  names: string;
  tensors: ReadonlySet<string>;
}

const known = new WeakMap<readonly Merge[], MergeKeys>();

/** Returns the keys of a set of merges; worked out once per array. */
export function mergeKeys(merges: readonly Merge[]): MergeKeys {
  const made = known.get(merges);
  if (made) return made;
  const values = createHash('sha256');
  const tensors = new Set<string>();
  for (const merge of merges) {
    const { layer, lora, weight, dyn } = merge;
    const { path, mtimeMs, inode, bytes } = lora.file;
    values.update(
      `${JSON.stringify([path, mtimeMs, inode, bytes, layer.weight, layer.rows, weight, dyn])}\n`,
    );
    tensors.add(layer.weight);
    if (layer.bias !== null && changesBias(merge)) tensors.add(layer.bias);
  }
  const names = createHash('sha256')
    .update([...tensors].sort().join('\n'))
    .digest('hex');
  const keys = { values: values.digest('hex'), names, tensors };
  known.set(merges, keys);
  return keys;
}

/** Replaced tensors by name, f32, in the checkpoint's shapes. */
export type Replaced = ReadonlyMap<string, Float32Array>;

/** Merged weights of one checkpoint; those used last are kept, as many as a limit allows. */
export class MergedWeights {
  readonly #file: SafetensorsFile;
  readonly #maxBytes: number;
  /** Least recently used first. */
  readonly #sets = new Map<string, Replaced>();

  constructor(file: SafetensorsFile, maxBytes: number = MAX_KEPT_BYTES) {
    this.#file = file;
    this.#maxBytes = maxBytes;
  }

  /**
   * Returns the weights with some LoRAs merged in.
   *
   * @param merges  of one network; at least one
   * @throws MergeError when one of them cannot be merged; CheckpointError
   */
  async get(merges: readonly Merge[]): Promise<Replaced> {
    const key = mergeKeys(merges).values;
    const replaced = this.#sets.get(key) ?? (await this.#merge(merges));
    this.#sets.delete(key);
    this.#sets.set(key, replaced);
    this.#makeRoom(key);
    return replaced;
  }

  async #merge(merges: readonly Merge[]): Promise<Replaced> {
    const tensors = await mergeTensors(this.#file, merges);
    return new Map([...tensors].map(([name, { data }]) => [name, data]));
  }

  #makeRoom(inUse: string): void {
    let bytes = 0;
    for (const [key, replaced] of [...this.#sets].reverse()) {
      for (const { byteLength } of replaced.values()) bytes += byteLength;
      if (bytes > this.#maxBytes && key !== inUse) this.#sets.delete(key);
    }
  }

  /** Lets go of all weights. */
  clear(): void {
    this.#sets.clear();
  }
}
