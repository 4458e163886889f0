/** Img2img on tiny checkpoints against PyTorch: diffusers' VAE and UNet, k-diffusion's samplers. */
import fs from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { seedsOf } from '../../../pipelines/generation-info.ts';
import { pictureConditioning } from '../../../pipelines/img2img/conditioning.ts';
import { createInit } from '../../../pipelines/img2img/init-latent.ts';
import { preparePictures } from '../../../pipelines/img2img/prepare-pictures.ts';
import type { Model } from '../../../pipelines/model/model.ts';
import { prepareNetwork } from '../../../pipelines/prepare-network.ts';
import { positionOf, sampleBatch } from '../../../pipelines/sample-batch.ts';
import { planSteps } from '../../../pipelines/sampling/plan.ts';
import runs from '../../fixtures/img2img/img2img.json' with { type: 'json' };
import {
  type CheckpointFixture,
  fixtureCheckpoint,
  makeCached,
  relativeError,
} from '../../networks/fixture.ts';
import { recordHooks } from '../job.ts';
import { openModel } from '../tiny.ts';
import { makeImg2ImgJob, makeMask, makeMaskUse, makePicture } from './job.ts';

const TOLERANCE = 1e-3;
/** Pixels of the latent cells that the recorded masks repaint. */
const BOX = [24, 16, 56, 48] as const;

const file = fs.readFileSync(
  new URL('../../fixtures/img2img/img2img.safetensors', import.meta.url),
);
const headerBytes = Number(file.readBigUInt64LE(0));
const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString()) as Record<
  string,
  { data_offsets: [number, number] }
>;

function recorded(name: string): Float32Array {
  const [begin, end] = header[name]!.data_offsets;
  return new Float32Array(
    Uint8Array.from(file.subarray(8 + headerBytes + begin, 8 + headerBytes + end)).buffer,
  );
}

const models = new Map<string, Promise<Model>>();

function modelOf(checkpoint: string): Promise<Model> {
  const known = models.get(checkpoint);
  if (known) return known;
  const path =
    checkpoint === 'sd15-instruct'
      ? makeCached({ arch: 'tiny-sd15', norms: 'random', dtype: 'f32', inChannels: 8 })
      : fixtureCheckpoint(checkpoint as CheckpointFixture);
  const opened = openModel(path);
  models.set(checkpoint, opened);
  return opened;
}

afterAll(async () => {
  for (const model of models.values()) await (await model).release();
});

describe('20 steps of img2img give the latents of the reference', () => {
  it.each(runs)('$name', async (run) => {
    const model = await modelOf(run.checkpoint);
    const job = makeImg2ImgJob(model.checkpoint.path, [await makePicture()], {
      prompt: 'a red fox in deep snow at dawn, oil painting',
      negativePrompt: 'blurry, low quality',
      seed: 1234,
      steps: 20,
      sampler: run.sampler,
      denoisingStrength: run.strength,
      exactSteps: run.exact,
      noiseMultiplier: run.multiplier,
      extraNoise: run.extra,
      imageCfgScale: run.imageCfg,
      mask: run.mask ? makeMaskUse(await makeMask(64, 64, BOX)) : null,
    });
    const pictures = await preparePictures(job);
    const init = await createInit(job, model, pictures, [job.seed]);
    const encoded = recorded(`${run.checkpoint}.encoded`);
    expect(relativeError(init.latent.data, encoded)).toBeLessThan(TOLERANCE);

    const extra = await pictureConditioning(job, model, pictures);
    const network = await prepareNetwork(job, job.prompt, model, undefined, extra);
    let first: Float32Array | null = null;
    const watched: typeof network = {
      ...network,
      call: (call) => {
        first ??= call.input.slice(0, encoded.length);
        return network.call(call);
      },
    };
    const batch = {
      seeds: seedsOf(job),
      position: positionOf(job, 0),
      init,
      imageCfgScale: job.imageCfgScale ?? undefined,
    };
    const result = await sampleBatch(job, model, watched, batch, recordHooks());
    expect(relativeError(first!, recorded(`${run.name}.first`))).toBeLessThan(TOLERANCE);
    expect(relativeError(result.latent.data, recorded(`${run.name}.latent`))).toBeLessThan(
      TOLERANCE,
    );
    expect(result.modelCalls).toBe(run.calls);
    const plan = planSteps({ ...job, exactSteps: job.exactSteps });
    expect(result.modelCalls).toBe(plan.modelCalls);
  });
});
