/** Checkpoints of every kind in txt2img: VAE files, further input channels, what the UNet predicts. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { vaeTensors } from '../../../benchmarks/checkpoints/vae.ts';
import { writeTensors } from '../../../benchmarks/checkpoints/write.ts';
import type { Txt2ImgJob } from '../../../pipelines/job.ts';
import { createRunner } from '../../../pipelines/runner.ts';
import { fixtureCheckpoint, makeCached } from '../../networks/fixture.ts';
import { makeJob, recordHooks } from '../job.ts';
import {
  fillTensors,
  maxDifference,
  openModel,
  SETTINGS,
  SMALL,
  sampleLatent,
  toFile,
} from '../tiny.ts';

let folder: string;
const runner = createRunner(SETTINGS);

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-kinds-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const draw = (file: string, changes: Partial<Txt2ImgJob> = {}) =>
  runner.run(makeJob(file, { ...SMALL, prompt: 'a fox', ...changes }), recordHooks());

describe('a VAE', () => {
  afterAll(() => runner.unload());

  const sd15 = () => fixtureCheckpoint('sd15');
  const vaeFile = (seed: number) =>
    makeCached({ arch: 'tiny-sd15', norms: 'random', dtype: 'f16', only: 'vae', seed });

  it('of another file decodes instead of the checkpoint, and the infotext says so', async () => {
    const output = { format: 'png', quality: 80, writeInfotext: false } as const;
    const own = await draw(sd15(), { output });
    const other = await draw(sd15(), {
      output,
      vae: { ...toFile(vaeFile(2), 'other'), hash: 'abcdef' },
    });
    // A whole checkpoint will do: only its VAE is used.
    const same = await draw(sd15(), { output, vae: toFile(sd15(), 'same') });
    expect(other.images).not.toEqual(own.images);
    expect(same.images).toEqual(own.images);
    expect((await draw(sd15(), { output })).images).toEqual(own.images);
    expect(own.infotexts[0]).not.toContain('VAE');
    expect(other.infotexts[0]).toContain('VAE hash: abcdef, VAE: other');
    expect(other.info.sd_vae_name).toBe('other');
  });

  it('is missed by a checkpoint without one; the error says what to do and shows no folder', async () => {
    const bare = makeCached({
      ...{ arch: 'tiny-sd15', norms: 'random', dtype: 'f16' },
      vae: false,
    });
    const error = await draw(bare).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'PipelineError', code: 'VAE_MISSING' });
    expect(String(error)).toContain('sd_vae');
    expect(String(error)).not.toContain(path.dirname(bare));
    expect((await draw(bare, { vae: toFile(vaeFile(1)) })).images).toHaveLength(1);
  });

  it('with another number of levels is refused', async () => {
    const file = path.join(folder, 'small.safetensors');
    const tensors = vaeTensors({ channels: 32, multipliers: [1, 1, 2] });
    writeTensors(file, tensors, { dtype: 'F16', seed: 1, norms: 'ones', metadata: {} });
    const own = await draw(sd15());
    await expect(draw(sd15(), { vae: toFile(file, 'small') })).rejects.toMatchObject({
      code: 'VAE_MISMATCH',
      message: 'Expected a VAE with 4 levels for tiny but small has 3.',
    });
    expect((await draw(sd15())).images).toEqual(own.images);
  });
});

describe('further input channels', () => {
  it.each([
    ['inpainting', 9],
    ['instruct', 8],
  ])('%s checkpoints draw, seed by seed', async (_, inChannels) => {
    const file = makeCached({ arch: 'tiny-sd15', norms: 'random', dtype: 'f32', inChannels });
    const model = await openModel(file);
    const pair = await sampleLatent(model, { prompt: 'a fox', batchSize: 2 });
    const second = await sampleLatent(model, { prompt: 'a fox', seed: 1 });
    await model.release();
    expect(pair.every(Number.isFinite)).toBe(true);
    expect(maxDifference(pair.subarray(second.length), second)).toBeLessThan(1e-4);
  });
});

describe('what a plain SD 2 checkpoint predicts', () => {
  const OUTPUT = 'model\\.diffusion_model\\.out\\.2\\.';
  let file: string;

  beforeAll(() => {
    file = path.join(folder, 'sd2.safetensors');
    fs.copyFileSync(makeCached({ arch: 'tiny-sd2', norms: 'random', dtype: 'f32' }), file);
  });

  // With no weight in the last convolution its bias is the output; the latent that is asked is 0.5.
  it.each([
    [-0.45, 'eps'],
    [-0.55, 'v'],
  ])('is decided by one run: an output of %d is %s', async (bias, prediction) => {
    expect(await fillTensors(file, new RegExp(`${OUTPUT}weight$`), 0)).toBe(1);
    expect(await fillTensors(file, new RegExp(`${OUTPUT}bias$`), bias)).toBe(1);
    const model = await openModel(file);
    expect(model.config.predictionUncertain).toBe(true);
    expect(await model.prediction()).toBe(prediction);
    await model.release();
  });

  it('is known from a marker without any run', async () => {
    const model = await openModel(fixtureCheckpoint('sd2'));
    expect(model.config).toMatchObject({ prediction: 'v', predictionUncertain: false });
    expect(await model.prediction()).toBe('v');
    await model.release();
  });
});
