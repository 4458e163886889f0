/** The networks of a checkpoint in memory: made when first needed, given back when memory asks. */
import os from 'node:os';
import path from 'node:path';
import type { Merge } from '../../lora/merge.ts';
import type { SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';
import { isZeroTensor } from '../../networks/checkpoint/zero-tensor.ts';
import type { Graph, WeightFile } from '../../networks/onnx/graph.ts';
import { createNetwork, type Network } from '../../networks/session.ts';
import type { EngineSettings } from '../job.ts';
import { refuseChanged } from './file-guard.ts';
import { type MergedWeights, mergeKeys } from './merged-weights.ts';

export type NetworkKind = 'text' | 'unet' | 'decoder' | 'encoder';

/** A network that is asked for. */
export interface WantedNetwork {
  kind: NetworkKind;
  /** Tells it from others of its kind, and its tiling form from its plain one. */
  key: string;
  file: SafetensorsFile;
  keepsHalf?: boolean;
  write: (weights: WeightFile) => Graph;
  /** LoRAs to merge into it; empty for none. */
  merges?: readonly Merge[];
}

interface Kept {
  kind: NetworkKind;
  network: Network;
  /** As `WantedNetwork.key`. */
  plainKey: string;
  bytes: number;
  /** Which merged weights it runs with; `MergeKeys.values`. */
  values: string;
}

/**
 * Share of the machine's memory that the forms of one network may take together: as it is, and with
 * different layers open to merged weights. On 16 GB that is one UNet of SD 1.5, on 32 GB three.
 */
const FORMS_SHARE = 1 / 3;

export class KeptNetworks {
  readonly #settings: EngineSettings;
  readonly #merged: MergedWeights;
  /** Least recently used first. */
  readonly #networks = new Map<string, Kept>();

  /** Those of a model that works on the same job. */
  #companion: KeptNetworks | null = null;

  constructor(settings: EngineSettings, merged: MergedWeights) {
    this.#settings = settings;
    this.#merged = merged;
  }

  /**
   * Returns a network, ready to run.
   *
   * Layers with merged weights are fed, so other weights for the same layers do not make another
   * network.
   *
   * @throws CheckpointError, GraphError, SessionError, MergeError
   */
  async use(wanted: WantedNetwork): Promise<Network> {
    const { merges = [], key: plainKey } = wanted;
    const keys = merges.length > 0 ? mergeKeys(merges) : null;
    const key = keys ? `${plainKey} ${keys.names}` : plainKey;
    const kept = this.#networks.get(key) ?? (await this.#make(wanted, key));
    this.#networks.delete(key);
    this.#networks.set(key, kept);
    if (keys && kept.values !== keys.values) {
      kept.network.useWeights(await this.#merged.get(merges));
      kept.values = keys.values;
    }
    return kept.network;
  }

  async #make(wanted: WantedNetwork, key: string): Promise<Kept> {
    const { kind, key: plainKey, file, keepsHalf = false, write, merges = [] } = wanted;
    // Before, because the runtime's own error for a missing file says little; after, because the
    // file may have changed while it was read.
    refuseChanged(file);
    const name = `${kind} of ${path.basename(file.path)}`;
    const graph = write({
      location: path.basename(file.path),
      tensors: file.tensors,
      isZero: (tensor) => isZeroTensor(file, tensor),
      ...(merges.length > 0 && { replaced: mergeKeys(merges).tensors }),
    });
    const bytes = graph.weightBytes;
    await this.#makeRoom(kind, plainKey, bytes);
    const { device, threads } = this.#settings;
    const network = await createNetwork(name, graph, file.path, {
      device,
      threads,
      keepsHalf,
      // The pools of networks that run seldom would only hold on to their largest run.
      hasArena: kind === 'unet',
      blocksConvolutions: kind === 'decoder' || kind === 'encoder',
    });
    const kept = { kind, network, plainKey, bytes, values: '' };
    this.#networks.set(key, kept);
    refuseChanged(file);
    return kept;
  }

  /** Gives back what the memory mode does not keep beside a network, and what is one form too many. */
  async #makeRoom(kind: NetworkKind, plainKey: string, bytes: number): Promise<void> {
    const keepsOthers = this.#settings.memoryMode === 'normal';
    if (!keepsOthers) await this.#companion?.release();
    await this.#releaseWhere((other) => {
      // The same network in its other (tiling) form is never kept beside this one.
      const isSibling = other.kind === kind && kind !== 'text';
      if (other.plainKey === plainKey) return !keepsOthers;
      if (keepsOthers && !isSibling) return false;
      return other.kind !== 'text' || kind !== 'text';
    });
    let room = FORMS_SHARE * os.totalmem() - bytes;
    // The latest are the last.
    for (const [key, other] of [...this.#networks].reverse()) {
      if (other.plainKey !== plainKey) continue;
      room -= other.bytes;
      if (room < 0) await this.#releaseWhere((_, otherKey) => otherKey === key);
    }
  }

  /** Makes two sets count as one where the memory mode keeps one network only. */
  shareMemoryWith(other: KeptNetworks): void {
    this.#companion = other;
    other.#companion = this;
  }

  /** Gives back the networks of some kinds; of all by default. */
  async release(kinds?: readonly NetworkKind[]): Promise<void> {
    await this.#releaseWhere(({ kind }) => kinds?.includes(kind) ?? true);
  }

  async #releaseWhere(isUnwanted: (kept: Kept, key: string) => boolean): Promise<void> {
    for (const [key, kept] of [...this.#networks]) {
      if (!isUnwanted(kept, key)) continue;
      this.#networks.delete(key);
      await kept.network.release();
    }
  }
}
