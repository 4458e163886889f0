/** A checkpoint in use: its networks, made when first needed and given back when memory asks. */
import path from 'node:path';
import { listLayers, type ModelLayers } from '../../lora/layers.ts';
import { LoraStore } from '../../lora/store.ts';
import type {
  ModelConfig,
  TextEncoderConfig,
  VaeConfig,
} from '../../networks/checkpoint/config.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import {
  isUnchanged,
  readHeader,
  type SafetensorsFile,
} from '../../networks/checkpoint/safetensors.ts';
import { isZeroTensor } from '../../networks/checkpoint/zero-tensor.ts';
import type { Graph, WeightFile } from '../../networks/onnx/graph.ts';
import { createNetwork, type Network } from '../../networks/session.ts';
import { writeTextEncoder } from '../../networks/text-encoder.ts';
import { writeUnet } from '../../networks/unet.ts';
import { writeVaeDecoder, writeVaeEncoder } from '../../networks/vae.ts';
import { RunCache } from '../conditioning/run-cache.ts';
import type { EngineSettings, JobOptions, ModelFile } from '../job.ts';
import { createModelSigmas, type ModelSigmas } from '../sampling/model-sigmas.ts';
import { refuseChanged, refuseOverwritten } from './file-guard.ts';
import { type FoundVae, findVae } from './find-vae.ts';
import { probePrediction } from './probe-prediction.ts';

/** What a model is made of and where. */
interface Parts {
  checkpoint: ModelFile;
  file: SafetensorsFile;
  config: ModelConfig;
}

type Kind = 'text' | 'unet' | 'decoder' | 'encoder';

export class Model {
  readonly checkpoint: ModelFile;
  readonly config: ModelConfig;
  /** LoRA files read for this model. */
  readonly loras = new LoraStore();
  /** Prompts that were encoded with this model. */
  readonly encoded = new RunCache();
  readonly #parts: Parts;
  readonly #settings: EngineSettings;
  readonly #networks = new Map<string, { kind: Kind; network: Network }>();
  #vae: FoundVae;
  #prediction: 'eps' | 'v' | null;
  #layers: ModelLayers | null = null;

  private constructor(parts: Parts, vae: FoundVae, settings: EngineSettings) {
    this.checkpoint = parts.checkpoint;
    this.config = parts.config;
    this.#parts = parts;
    this.#vae = vae;
    this.#settings = settings;
    this.#prediction = parts.config.predictionUncertain ? null : parts.config.prediction;
  }

  /**
   * Reads the headers of a checkpoint and of a separate VAE file; no weights are touched yet.
   *
   * @throws CheckpointError, PipelineError VAE_MISSING or VAE_MISMATCH
   */
  static async open(
    checkpoint: ModelFile,
    vae: ModelFile | null,
    settings: EngineSettings,
  ): Promise<Model> {
    const file = await readHeader(checkpoint.path);
    const config = detectCheckpoint(file);
    const found = await findVae(checkpoint, file, config, vae);
    return new Model({ checkpoint, file, config }, found, settings);
  }

  /** The VAE in use. */
  get vae(): VaeConfig {
    return this.#vae.config;
  }

  /** Whether this is the checkpoint of this model and it is as it was when it was opened. */
  matches(checkpoint: ModelFile): boolean {
    return this.checkpoint.path === checkpoint.path && isUnchanged(this.#parts.file);
  }

  /**
   * Changes to another VAE, or reads the same one again if its file changed; the UNet stays.
   *
   * @param vae  the separate file; null for the checkpoint's own
   * @throws as `open`; the model then keeps the VAE that it had
   */
  async useVae(vae: ModelFile | null): Promise<void> {
    const { checkpoint, file, config } = this.#parts;
    const current = this.#vae.file;
    if (current.path === (vae?.path ?? file.path) && isUnchanged(current)) return;
    this.#vae = await findVae(checkpoint, file, config, vae);
    await this.#releaseWhere((kind) => kind === 'decoder' || kind === 'encoder');
  }

  /**
   * Checks that what the networks computed came from the files as they were opened.
   *
   * @throws CheckpointError FILE_CHANGED
   */
  refuseOverwritten(): void {
    refuseOverwritten(this.#parts.file);
    refuseOverwritten(this.#vae.file);
  }

  /** The noise levels it was trained on, with what a job's options change about them. */
  sigmasFor(
    options: Pick<JobOptions, 'noiseSchedule' | 'downcastsAlphas' | 'quantizesTimesteps'>,
  ): ModelSigmas {
    return createModelSigmas({
      zeroTerminalSnr: this.config.zeroTerminalSnr || options.noiseSchedule === 'Zero Terminal SNR',
      downcast: options.downcastsAlphas,
      quantize: options.quantizesTimesteps,
    });
  }

  /** The layers that LoRAs can change. */
  layers(): ModelLayers {
    this.#layers ??= listLayers(this.#parts.file.tensors, this.config);
    return this.#layers;
  }

  /** What the UNet predicts; found out by one run where the file does not say. */
  async prediction(): Promise<'eps' | 'v'> {
    this.#prediction ??= await probePrediction(await this.unet(false), this.config.unet);
    return this.#prediction;
  }

  async textEncoder(config: TextEncoderConfig): Promise<Network> {
    // A text encoder runs once per prompt: converting its weights then costs less than the memory
    // of keeping them converted.
    return this.#use('text', config.prefix, this.#parts.file, true, (weights) =>
      writeTextEncoder(weights, config),
    );
  }

  /** @param circular  whether convolutions wrap around, for pictures that tile */
  async unet(circular: boolean): Promise<Network> {
    const keepsHalf = this.#settings.memoryMode === 'lowvram';
    return this.#use('unet', `unet ${circular}`, this.#parts.file, keepsHalf, (weights) =>
      writeUnet(weights, this.config.unet, { circular }),
    );
  }

  async decoder(circular: boolean): Promise<Network> {
    return this.#use('decoder', `decoder ${circular}`, this.#vae.file, false, (weights) =>
      writeVaeDecoder(weights, this.vae, { circular }),
    );
  }

  async encoder(circular: boolean): Promise<Network> {
    return this.#use('encoder', `encoder ${circular}`, this.#vae.file, false, (weights) =>
      writeVaeEncoder(weights, this.vae, { circular }),
    );
  }

  async #use(
    kind: Kind,
    key: string,
    file: SafetensorsFile,
    keepsHalf: boolean,
    write: (weights: WeightFile) => Graph,
  ): Promise<Network> {
    const known = this.#networks.get(key);
    if (known) return known.network;
    await this.#makeRoom(kind, key);
    // Before, because the runtime's own error for a missing file says little; after, because the
    // file may have changed while it was read.
    refuseChanged(file);
    const name = `${kind} of ${path.basename(file.path)}`;
    const graph = write({
      location: path.basename(file.path),
      tensors: file.tensors,
      isZero: (tensor) => isZeroTensor(file, tensor),
    });
    const { device, threads } = this.#settings;
    const network = await createNetwork(name, graph, file.path, {
      device,
      threads,
      keepsHalf,
      // The pools of networks that run seldom would only hold on to their largest run.
      hasArena: kind === 'unet',
      blocksConvolutions: kind === 'decoder' || kind === 'encoder',
    });
    this.#networks.set(key, { kind, network });
    refuseChanged(file);
    return network;
  }

  /** Gives back what the memory mode does not keep beside a network of this kind. */
  async #makeRoom(kind: Kind, key: string): Promise<void> {
    const keepsOthers = this.#settings.memoryMode === 'normal';
    await this.#releaseWhere((otherKind, other) => {
      // The same network in its other (tiling) form is never kept beside this one.
      const isSibling = otherKind === kind && kind !== 'text';
      if (other === key || (keepsOthers && !isSibling)) return false;
      return otherKind !== 'text' || kind !== 'text';
    });
  }

  /** Gives back every network. */
  async release(): Promise<void> {
    await this.#releaseWhere(() => true);
  }

  async #releaseWhere(isUnwanted: (kind: Kind, key: string) => boolean): Promise<void> {
    for (const [key, { kind, network }] of [...this.#networks]) {
      if (!isUnwanted(kind, key)) continue;
      this.#networks.delete(key);
      await network.release();
    }
  }
}
