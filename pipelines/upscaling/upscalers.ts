/** Upscaler models in use: one at a time, kept until another is asked for. */
import path from 'node:path';
import {
  isUnchanged,
  readHeader,
  type SafetensorsFile,
} from '../../networks/checkpoint/safetensors.ts';
import { createNetwork, type Network } from '../../networks/session.ts';
import type { UpscalerConfig } from '../../networks/upscaler/config.ts';
import { detectUpscaler } from '../../networks/upscaler/detect.ts';
import { writeUpscaler } from '../../networks/upscaler/graph.ts';
import type { EngineSettings } from '../job.ts';
import { refuseChanged, refuseOverwritten } from '../model/file-guard.ts';

/** A model that is ready to run. */
export interface LoadedUpscaler {
  file: SafetensorsFile;
  config: UpscalerConfig;
  network: Network;
}

export class UpscalerStore {
  readonly #settings: EngineSettings;
  #loaded: LoadedUpscaler | null = null;

  constructor(settings: EngineSettings) {
    this.#settings = settings;
  }

  /**
   * Returns the model of a file; the one before it is given back unless it is the same.
   *
   * @throws CheckpointError, SessionError
   */
  async open(file: string): Promise<LoadedUpscaler> {
    if (this.#loaded?.file.path === file && isUnchanged(this.#loaded.file)) return this.#loaded;
    await this.release();
    const header = await readHeader(file);
    const config = detectUpscaler(header);
    const name = path.basename(header.path);
    const graph = writeUpscaler({ location: name, tensors: header.tensors }, config);
    const { device, threads } = this.#settings;
    const network = await createNetwork(`upscaler ${name}`, graph, header.path, {
      device,
      threads,
      // Its activations are the largest of all; a pool would hold on to them.
      hasArena: false,
      blocksConvolutions: true,
    });
    this.#loaded = { file: header, config, network };
    refuseChanged(header);
    return this.#loaded;
  }

  /**
   * Checks that what the model computed came from the file as it was opened.
   *
   * @throws CheckpointError FILE_CHANGED
   */
  refuseOverwritten(): void {
    if (this.#loaded) refuseOverwritten(this.#loaded.file);
  }

  /** Gives back the model. */
  async release(): Promise<void> {
    const old = this.#loaded;
    this.#loaded = null;
    await old?.network.release();
  }
}
