/** Tiny checkpoints as the pipelines use them: opened, sampled, copied and damaged. */
import fs from 'node:fs';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { seedsOf } from '../../pipelines/generation-info.ts';
import { createHyperTile } from '../../pipelines/hyper-tile/hyper-tile.ts';
import type { EngineSettings, ModelFile, Txt2ImgJob } from '../../pipelines/job.ts';
import { Model } from '../../pipelines/model/model.ts';
import { prepareNetwork } from '../../pipelines/prepare-network.ts';
import { positionOf, sampleBatch } from '../../pipelines/sample-batch.ts';
import { makeCached } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';

export const SETTINGS: EngineSettings = { device: 'cpu', threads: 2, memoryMode: 'normal' };

/** Weights in f32 are mapped as they are and easy to write to. */
export const F32_OPTIONS = { arch: 'tiny-sd15', norms: 'random', dtype: 'f32' } as const;

/** The smallest job that shows something: three steps at 64 x 64. */
export const SMALL = { width: 64, height: 64, steps: 3 } as const;

export function toFile(path: string, name = 'tiny'): ModelFile {
  return { path, name, hash: null };
}

/** Opens a file as a model of its own; the caller releases it. */
export function openModel(path: string, settings: Partial<EngineSettings> = {}): Promise<Model> {
  return Model.open(toFile(path), null, { ...SETTINGS, ...settings });
}

/** Returns the latents of the first batch of a small job, f32 [batch, 4, 8, 8] unless resized. */
export async function sampleLatent(
  model: Model,
  changes: Partial<Txt2ImgJob> = {},
): Promise<Float32Array> {
  const job = makeJob(model.checkpoint.path, { ...SMALL, ...changes });
  const hyperTile = createHyperTile(job);
  const network = await prepareNetwork({ ...job, hyperTile }, job.prompt, model);
  const seeds = seedsOf(job).slice(0, job.batchSize);
  const position = positionOf(job, 0);
  const { latent } = await sampleBatch(job, model, network, { seeds, position }, recordHooks());
  return latent.data;
}

/** Copies the tiny f32 checkpoint of one seed to a path that the test may write to. */
export function copyTiny(target: string, seed = 1): string {
  fs.copyFileSync(makeCached({ ...F32_OPTIONS, seed }), target);
  return target;
}

/**
 * Overwrites the values of every F32 tensor whose name matches.
 *
 * @returns how many tensors were written
 */
export async function fillTensors(path: string, names: RegExp, value: number): Promise<number> {
  const { tensors } = await readHeader(path);
  const chosen = [...tensors.values()].filter(({ name }) => names.test(name));
  const fd = fs.openSync(path, 'r+');
  for (const { dtype, bytes, offset } of chosen) {
    if (dtype !== 'F32') throw new Error(`Expected F32 but found ${dtype}.`);
    const data = new Float32Array(bytes / 4).fill(value);
    fs.writeSync(fd, data, 0, bytes, offset);
  }
  fs.closeSync(fd);
  return chosen.length;
}

/** Returns the largest absolute difference; NaN when any value is NaN. */
export function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) {
    throw new RangeError(`Expected ${expected.length} values but received ${actual.length}.`);
  }
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number));
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}
