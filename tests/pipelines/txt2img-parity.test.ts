/** Whole runs on tiny checkpoints against PyTorch: transformers, diffusers and k-diffusion put together. */
import { afterAll, describe, expect, it } from 'vitest';
import { seedsOf } from '../../pipelines/generation-info.ts';
import { Model } from '../../pipelines/model/model.ts';
import { prepareNetwork } from '../../pipelines/prepare-network.ts';
import { positionOf, sampleBatch } from '../../pipelines/sample-batch.ts';
import runs from '../fixtures/networks/txt2img.json' with { type: 'json' };
import {
  type CheckpointFixture,
  fixtureCheckpoint,
  fixtureTensor,
  relativeError,
} from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';

const TOLERANCE = 1e-3;

const settings = { device: 'cpu', threads: 2, memoryMode: 'normal' } as const;
const models = new Map<string, Promise<Model>>();

function modelOf(checkpoint: CheckpointFixture): Promise<Model> {
  const known = models.get(checkpoint);
  if (known) return known;
  const file = { path: fixtureCheckpoint(checkpoint), name: checkpoint, hash: null };
  const opened = Model.open(file, null, settings);
  models.set(checkpoint, opened);
  return opened;
}

afterAll(async () => {
  for (const model of models.values()) await (await model).release();
});

describe('20 steps of txt2img give the latents of the reference', () => {
  it.each(runs)('$name', async (run) => {
    const model = await modelOf(run.checkpoint as CheckpointFixture);
    const job = makeJob(model.checkpoint.path, {
      prompt: run.prompt,
      negativePrompt: run.negative,
      seed: run.seed,
      sampler: run.sampler,
      scheduler: run.scheduler,
      steps: run.steps,
      cfgScale: run.cfgScale,
      width: run.width,
      height: run.height,
      batchSize: run.batch,
    });
    const hooks = recordHooks();
    const network = await prepareNetwork(job, job.prompt, model);
    const batch = { seeds: seedsOf(job), position: positionOf(job, 0) };
    const result = await sampleBatch(job, model, network, batch, hooks);
    expect(result.modelCalls).toBe(run.calls);
    const expected = fixtureTensor('txt2img', `${run.name}.latent`);
    expect([...result.latent.shape]).toEqual(expected.shape);
    expect(relativeError(result.latent.data, expected.data)).toBeLessThan(TOLERANCE);
  });
});
