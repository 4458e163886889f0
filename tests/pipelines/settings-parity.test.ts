/** Whole runs over samplers, schedules, the prompt grammar and the refiner, against PyTorch. */
import { afterAll, describe, expect, it } from 'vitest';
import type { Model } from '../../pipelines/model/model.ts';
import { prepareNetwork } from '../../pipelines/prepare-network.ts';
import { positionOf, sampleBatch } from '../../pipelines/sample-batch.ts';
import settings from '../fixtures/settings/settings.json' with { type: 'json' };
import { type CheckpointFixture, fixtureCheckpoint, relativeError } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';
import { openModel, toFile } from './tiny.ts';

const TOLERANCE = 1e-3;

const models = new Map<string, Promise<Model>>();

function modelOf(checkpoint: string): Promise<Model> {
  const path = fixtureCheckpoint(checkpoint as CheckpointFixture);
  const opened = models.get(checkpoint) ?? openModel(path);
  models.set(checkpoint, opened);
  return opened;
}

afterAll(async () => {
  for (const model of models.values()) await (await model).release();
});

const runs = settings.runs.map((run) => ({
  ...run,
  name: `${run.checkpoint}, ${run.sampler}, ${run.scheduler}: ${run.prompt.slice(0, 50)}`,
}));

describe('a run gives the latent of the reference', () => {
  it.each(runs)('$name, refiner at $refiner', async (run) => {
    const model = await modelOf(run.checkpoint);
    const { options } = makeJob('');
    const job = makeJob(model.checkpoint.path, {
      prompt: run.prompt,
      negativePrompt: run.negative,
      sampler: run.sampler,
      scheduler: run.scheduler,
      steps: settings.steps,
      cfgScale: settings.cfgScale,
      width: settings.size,
      height: settings.size,
      refiner:
        run.refiner === null
          ? null
          : {
              checkpoint: toFile(fixtureCheckpoint('refiner'), 'refiner'),
              switchAt: run.refiner,
              bySteps: run.bySteps,
              pass: 'second pass',
            },
      options: {
        ...options,
        noiseSource: 'CPU',
        clipSkip: run.clipSkip,
        emphasis: run.emphasis as typeof options.emphasis,
      },
    });
    const network = await prepareNetwork(job, job.prompt, model);
    const seeds = [{ seed: settings.seed, subseed: 0 }];
    const batch = { seeds, position: positionOf(job, 0) };
    const result = await sampleBatch(job, model, network, batch, recordHooks());
    expect(result.modelCalls).toBe(run.calls);
    const bytes = Buffer.from(run.latent, 'base64');
    const expected = new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.length / 4);
    expect(relativeError(result.latent.data, expected)).toBeLessThan(TOLERANCE);
  });
});
