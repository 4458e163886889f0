/** What is measured: a checkpoint on a number of threads, and inputs that fit its networks. */
import fs from 'node:fs';
import path from 'node:path';
import type { TextEncoderConfig, UnetConfig } from '../networks/checkpoint/config.ts';
import { encodeHalf } from '../networks/checkpoint/half.ts';
import type { LoraPort } from '../networks/onnx/graph.ts';
import type { LoraFeeds, TensorData } from '../networks/session.ts';
import { Model } from '../pipelines/model/model.ts';
import { countValues, type Latent } from '../pipelines/sampling/latents.ts';

/** Tokens of a prompt without chunks beyond the first. */
const TOKENS = 77;
/** CLIP's begin and end of text, and a word between them. */
const [BOS, EOS, WORD] = [49_406, 49_407, 1_000];

/** A checkpoint and how it is run; plain data, so that it can be sent to a child process. */
export interface Subject {
  /** Path of the checkpoint. */
  file: string;
  threads: number;
}

/** Opens the subject as the engine does: same graphs, same session options. */
export async function openModel({ file, threads }: Subject): Promise<Model> {
  const real = fs.realpathSync(file);
  const checkpoint = { path: real, name: path.basename(real, '.safetensors'), hash: null };
  return Model.open(checkpoint, null, { device: 'cpu', threads, memoryMode: 'normal' });
}

/** Uniform f32 values of unit variance: what a network is timed on need not be more. */
export function randomValues(count: number): Float32Array {
  const values = new Float32Array(count);
  // A 32-bit linear congruential generator (Numerical Recipes): the same inputs in every run.
  let state = 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    values[i] = (state / 2 ** 32 - 0.5) * Math.sqrt(12);
  }
  return values;
}

function random(shape: number[]): TensorData {
  return { type: 'float32', data: randomValues(countValues(shape)), shape };
}

/** Returns a square latent of `cells` a side for the model's decoder. */
export function randomLatent(model: Model, cells: number): Latent {
  const shape = [1, model.vae.zChannels, cells, cells] as const;
  return { data: randomValues(countValues(shape)), shape };
}

/** Returns inputs of a UNet for latents of height x width cells. */
export function unetFeeds(
  config: UnetConfig,
  { batch, height, width }: { batch: number; height: number; width: number },
): Record<string, TensorData> {
  const { inChannels, contextDim, admChannels } = config;
  return {
    sample: random([batch, inChannels, height, width]),
    timesteps: { type: 'float32', data: new Float32Array(batch).fill(521.37), shape: [batch] },
    context: random([batch, TOKENS, contextDim]),
    ...(admChannels > 0 && { y: random([batch, admChannels]) }),
  };
}

/** Returns inputs of a text encoder: one chunk of ordinary tokens. */
export function textFeeds(config: TextEncoderConfig): Record<string, TensorData> {
  const ids = new Array<number>(config.tokens).fill(WORD).with(0, BOS).with(-1, EOS);
  const { width } = config;
  return {
    tokens: { type: 'int64', data: BigInt64Array.from(ids, BigInt), shape: [1, ids.length] },
    override: { type: 'float32', data: new Float32Array(width), shape: [1, 1, width] },
    is_overridden: { type: 'bool', data: new Uint8Array(1), shape: [1, 1, 1] },
  };
}

/** Returns factors of the given rank for every attention projection (q, k, v, out). */
export function attentionLora(ports: readonly LoraPort[], rank: number): LoraFeeds {
  const trained = ports.filter(({ layer }) => /\.attn[12]\.to_(q|k|v|out\.0)$/.test(layer));
  return new Map(
    trained.map((port) => [
      port.layer,
      {
        down: Uint16Array.from(randomValues(rank * port.in), (x) =>
          encodeHalf(x / Math.sqrt(port.in)),
        ),
        up: Uint16Array.from(randomValues(rank * port.out), (x) =>
          encodeHalf((0.1 * x) / Math.sqrt(rank)),
        ),
        rank,
      },
    ]),
  );
}
