/** A checkpoint in use: its networks, made when first needed and given back when memory asks. */
import { listLayers, type ModelLayers } from '../../lora/layers.ts';
import type { Merge } from '../../lora/merge.ts';
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
import type { WeightFile } from '../../networks/onnx/graph.ts';
import type { Network } from '../../networks/session.ts';
import { writeTextEncoder } from '../../networks/text-encoder.ts';
import { writeUnet } from '../../networks/unet.ts';
import { writeVaeDecoder, writeVaeEncoder } from '../../networks/vae.ts';
import { RunCache } from '../conditioning/run-cache.ts';
import { PipelineError } from '../errors.ts';
import type { EngineSettings, JobOptions, ModelFile } from '../job.ts';
import { createModelSigmas, type ModelSigmas } from '../sampling/model-sigmas.ts';
import { refuseOverwritten } from './file-guard.ts';
import { type FoundVae, findVae } from './find-vae.ts';
import { KeptNetworks } from './kept-networks.ts';
import { MergedWeights } from './merged-weights.ts';
import { probePrediction } from './probe-prediction.ts';

/** What a model is made of and where. */
interface Parts {
  checkpoint: ModelFile;
  file: SafetensorsFile;
  config: ModelConfig;
}

export class Model {
  readonly checkpoint: ModelFile;
  readonly config: ModelConfig;
  /** LoRA files read for this model. */
  readonly loras = new LoraStore();
  /** Prompts that were encoded with this model. */
  readonly encoded = new RunCache();
  readonly #parts: Parts;
  readonly #settings: EngineSettings;
  readonly #networks: KeptNetworks;
  readonly #merged: MergedWeights;
  #vae: FoundVae;
  #prediction: 'eps' | 'v' | null;
  #layers: ModelLayers | null = null;
  /** The model that shares a job with this one: its refiner, or what it refines. */
  #companion: Model | null = null;
  /** Whether the refiner has worked since its file was looked at. */
  #wasRefined = false;

  private constructor(parts: Parts, vae: FoundVae, settings: EngineSettings) {
    this.checkpoint = parts.checkpoint;
    this.config = parts.config;
    this.#parts = parts;
    this.#vae = vae;
    this.#settings = settings;
    this.#merged = new MergedWeights(parts.file);
    this.#networks = new KeptNetworks(settings, this.#merged);
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
    await this.#networks.release(['decoder', 'encoder']);
  }

  /**
   * Checks that what the networks computed came from the files as they were opened.
   *
   * @throws CheckpointError FILE_CHANGED
   */
  refuseOverwritten(): void {
    refuseOverwritten(this.#parts.file);
    refuseOverwritten(this.#vae.file);
    if (this.#wasRefined && this.#companion) refuseOverwritten(this.#companion.#parts.file);
    this.#wasRefined = false;
  }

  /**
   * Opens the checkpoint that takes over from this one; it stays open until another does.
   *
   * @param vae  as for `open`
   * @throws as `open`; PipelineError VAE_MISMATCH when it works on other latents
   */
  async openRefiner(checkpoint: ModelFile, vae: ModelFile | null): Promise<Model> {
    const known = this.#companion;
    this.#wasRefined = true;
    if (known?.matches(checkpoint)) {
      await known.useVae(vae);
      return known;
    }
    this.#companion = null;
    await known?.release();
    const refiner = await Model.open(checkpoint, vae, this.#settings);
    if (refiner.vae.scaleFactor !== this.vae.scaleFactor)
      throw new PipelineError(
        'VAE_MISMATCH',
        `${checkpoint.name} cannot refine ${this.checkpoint.name}: its latents are of another kind.`,
      );
    refiner.#companion = this;
    this.#companion = refiner;
    this.#networks.shareMemoryWith(refiner.#networks);
    return refiner;
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

  /**
   * Merges LoRAs into what they change of one network, so that one that cannot be merged is known
   * before anything runs; the result is kept for the network.
   *
   * @throws MergeError when one of them cannot be merged; CheckpointError
   */
  async prepareMerges(merges: readonly Merge[]): Promise<void> {
    if (merges.length > 0) await this.#merged.get(merges);
  }

  /** @param merges  of a plan for this encoder */
  async textEncoder(config: TextEncoderConfig, merges: readonly Merge[] = []): Promise<Network> {
    const { file } = this.#parts;
    // A text encoder runs once per prompt: converting its weights then costs less than the memory
    // of keeping them converted.
    const form = { kind: 'text', key: config.prefix, keepsHalf: true } as const;
    const write = (weights: WeightFile) => writeTextEncoder(weights, config);
    return this.#networks.use({ ...form, file, merges, write });
  }

  /**
   * @param circular  whether convolutions wrap around, for pictures that tile
   * @param merges    of a plan for the UNet
   * @param form      `mergesTokens`: its runs are fed with a plan for merging tokens; `tiles`: with
   *                  one for tiles
   */
  async unet(
    circular: boolean,
    merges: readonly Merge[] = [],
    { mergesTokens = false, tiles = false }: { mergesTokens?: boolean; tiles?: boolean } = {},
  ): Promise<Network> {
    const { file } = this.#parts;
    const keepsHalf = this.#settings.memoryMode === 'lowvram';
    const key = `unet ${circular} ${mergesTokens} ${tiles}`;
    const form = { kind: 'unet', key, keepsHalf } as const;
    const options = { circular, mergesTokens, tiles };
    const write = (weights: WeightFile) => writeUnet(weights, this.config.unet, options);
    return this.#networks.use({ ...form, file, merges, write });
  }

  /** @param tiles  whether its runs are fed with tiles */
  async decoder(circular: boolean, tiles = false): Promise<Network> {
    const { file } = this.#vae;
    const write = (weights: WeightFile) => writeVaeDecoder(weights, this.vae, { circular, tiles });
    const key = `decoder ${circular} ${tiles}`;
    return this.#networks.use({ kind: 'decoder', key, file, write });
  }

  async encoder(circular: boolean): Promise<Network> {
    const { file } = this.#vae;
    const write = (weights: WeightFile) => writeVaeEncoder(weights, this.vae, { circular });
    return this.#networks.use({ kind: 'encoder', key: `encoder ${circular}`, file, write });
  }

  /** Gives back every network, those of its refiner too, and what was merged for them. */
  async release(): Promise<void> {
    for (const model of [this, this.#companion]) {
      if (model === null) continue;
      await model.#networks.release();
      model.#merged.clear();
    }
  }
}
