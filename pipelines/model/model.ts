/** A checkpoint in use: its networks, made when first needed and given back when memory asks. */
import path from 'node:path';
import { listLayers, type ModelLayers } from '../../lora/layers.ts';
import { LoraStore } from '../../lora/store.ts';
import type {
  ModelConfig,
  TextEncoderConfig,
  VaeConfig,
} from '../../networks/checkpoint/config.ts';
import { detectCheckpoint, detectVae } from '../../networks/checkpoint/detect.ts';
import {
  isUnchanged,
  readHeader,
  type SafetensorsFile,
} from '../../networks/checkpoint/safetensors.ts';
import type { Graph, WeightFile } from '../../networks/onnx/graph.ts';
import { createNetwork, type Network } from '../../networks/session.ts';
import { writeTextEncoder } from '../../networks/text-encoder.ts';
import { writeUnet } from '../../networks/unet.ts';
import { writeVaeDecoder, writeVaeEncoder } from '../../networks/vae.ts';
import { PipelineError } from '../errors.ts';
import type { EngineSettings, ModelFile } from '../job.ts';
import { createModelSigmas, type ModelSigmas } from '../sampling/model-sigmas.ts';
import { refuseChanged, refuseOverwritten } from './file-guard.ts';
import { probePrediction } from './probe-prediction.ts';

/** What a model is made of and where. */
interface Parts {
  checkpoint: ModelFile;
  file: SafetensorsFile;
  config: ModelConfig;
  vaeFile: SafetensorsFile;
  vae: VaeConfig;
}

type Kind = 'text' | 'unet' | 'decoder' | 'encoder';

export class Model {
  readonly checkpoint: ModelFile;
  readonly config: ModelConfig;
  readonly vae: VaeConfig;
  readonly sigmas: ModelSigmas;
  /** LoRA files read for this model. */
  readonly loras = new LoraStore();
  readonly #parts: Parts;
  readonly #settings: EngineSettings;
  readonly #networks = new Map<string, { kind: Kind; network: Network }>();
  #prediction: 'eps' | 'v' | null;
  #layers: ModelLayers | null = null;

  private constructor(parts: Parts, settings: EngineSettings) {
    this.checkpoint = parts.checkpoint;
    this.config = parts.config;
    this.vae = parts.vae;
    this.sigmas = createModelSigmas({ zeroTerminalSnr: parts.config.zeroTerminalSnr });
    this.#parts = parts;
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
    const vaeFile = vae ? await readHeader(vae.path) : file;
    const vaeConfig = vae ? detectVae(vaeFile, config.family) : config.vae;
    if (!vaeConfig) {
      throw new PipelineError(
        'VAE_MISSING',
        `${checkpoint.path} has no VAE of its own: put one into models/VAE and choose it with the option sd_vae.`,
      );
    }
    if (vaeConfig.zChannels !== config.unet.outChannels) {
      throw new PipelineError(
        'VAE_MISMATCH',
        `Expected a VAE with ${config.unet.outChannels} latent channels for ${checkpoint.name} but ${vaeFile.path} has ${vaeConfig.zChannels}.`,
      );
    }
    return new Model({ checkpoint, file, config, vaeFile, vae: vaeConfig }, settings);
  }

  /** Whether these are the files of this model and they are as they were when it was opened. */
  matches(checkpoint: ModelFile, vae: ModelFile | null): boolean {
    const { file, vaeFile } = this.#parts;
    const vaePath = vae?.path ?? checkpoint.path;
    return (
      this.checkpoint.path === checkpoint.path &&
      (vaeFile === file ? vae === null : vaeFile.path === vaePath) &&
      isUnchanged(file) &&
      isUnchanged(vaeFile)
    );
  }

  /**
   * Checks that what the networks computed came from the files as they were opened.
   *
   * @throws CheckpointError FILE_CHANGED
   */
  refuseOverwritten(): void {
    refuseOverwritten(this.#parts.file);
    refuseOverwritten(this.#parts.vaeFile);
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
    return this.#use('decoder', `decoder ${circular}`, this.#parts.vaeFile, false, (weights) =>
      writeVaeDecoder(weights, this.vae, { circular }),
    );
  }

  async encoder(circular: boolean): Promise<Network> {
    return this.#use('encoder', `encoder ${circular}`, this.#parts.vaeFile, false, (weights) =>
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
    const graph = write({ location: path.basename(file.path), tensors: file.tensors });
    const { device, threads } = this.#settings;
    const network = await createNetwork(name, graph, file.path, {
      device,
      threads,
      keepsHalf,
      // The pools of networks that run seldom would only hold on to their largest run.
      hasArena: kind === 'unet',
    });
    this.#networks.set(key, { kind, network });
    refuseChanged(file);
    return network;
  }

  /** Gives back what the memory mode does not keep beside a network of this kind. */
  async #makeRoom(kind: Kind, key: string): Promise<void> {
    const keepsOthers = this.#settings.memoryMode === 'normal';
    for (const [other, { kind: otherKind, network }] of this.#networks) {
      // The same network in its other (tiling) form is never kept beside this one.
      const isSibling = otherKind === kind && kind !== 'text';
      if (other === key || (keepsOthers && !isSibling)) continue;
      if (otherKind === 'text' && kind === 'text') continue;
      this.#networks.delete(other);
      await network.release();
    }
  }

  async release(): Promise<void> {
    const all = [...this.#networks.values()];
    this.#networks.clear();
    for (const { network } of all) await network.release();
  }
}
