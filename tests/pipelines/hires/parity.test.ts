/** Runs with a hires fix on tiny checkpoints against PyTorch: both passes and what lies between. */
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { readFloat32, readHeader } from '../../../networks/checkpoint/safetensors.ts';
import { seedsOf } from '../../../pipelines/generation-info.ts';
import { enlargeLatent } from '../../../pipelines/hires/enlarge-latent.ts';
import { HIRES_PASSES, runHires } from '../../../pipelines/hires/hires-pass.ts';
import { findLatentMode } from '../../../pipelines/hires/latent-modes.ts';
import { prepareNetwork } from '../../../pipelines/prepare-network.ts';
import { positionOf, sampleBatch } from '../../../pipelines/sample-batch.ts';
import runs from '../../fixtures/hires/hires.json' with { type: 'json' };
import {
  type CheckpointFixture,
  fixtureCheckpoint,
  relativeError,
} from '../../networks/fixture.ts';
import { makeJob, recordHooks } from '../job.ts';
import { toFile } from '../tiny.ts';
import { makePass, makeTools } from './job.ts';

const TOLERANCE = 1e-3;
const RECORDED = fileURLToPath(new URL('../../fixtures/hires/hires.safetensors', import.meta.url));

const tools = makeTools();
afterAll(() => tools.release());

async function recorded(name: string): Promise<Float32Array> {
  const file = await readHeader(RECORDED);
  const info = file.tensors.get(name);
  if (info === undefined) throw new Error(`hires.safetensors has no ${name}`);
  return readFloat32(file, info);
}

describe('a hires fix gives the latents of the reference', () => {
  it.each(runs)('$name', async (run) => {
    const path = fixtureCheckpoint(run.checkpoint as CheckpointFixture);
    const model = await tools.use(toFile(path), null);
    const job = makeJob(path, {
      prompt: 'a red fox in deep snow at dawn, oil painting',
      negativePrompt: 'blurry, low quality',
      ...{ seed: 1234, steps: 6, width: 64, height: 64 },
      ...{ sampler: run.sampler, batchSize: run.batch, denoisingStrength: run.strength },
    });
    const [width = 0, height = 0] = run.enlarged;
    const [cutWidth = 0, cutHeight = 0] = run.cut;
    const hires = makePass(job, {
      enlarged: { width, height },
      cut: { width: cutWidth, height: cutHeight },
      upscaler: findLatentMode(run.upscaler)
        ? { latentMode: run.upscaler }
        : { name: run.upscaler, kind: 'lanczos', path: null },
      ...{ steps: run.steps, denoisingStrength: run.strength },
      ...{ sampler: run.hrSampler, prompt: run.hrPrompt },
    });
    const withPass = { ...job, hires };
    const hooks = recordHooks();
    const network = await prepareNetwork(job, job.prompt, model);
    const seeds = seedsOf(job);
    const position = positionOf(job, 0, HIRES_PASSES);
    const first = await sampleBatch(withPass, model, network, { seeds, position }, hooks);
    expect(first.modelCalls).toBe(run.calls[0]);

    const enlarged = await enlargeLatent(first.latent, hires, {
      first: model,
      second: async () => model,
      circular: false,
      hyperTile: null,
      open: (file) => tools.upscalers.open(file),
      tiles: hires.tiles,
      watch: { onTile: () => {}, shouldStop: () => false },
    });
    const expected = await recorded(`${run.name}.enlarged`);
    expect(relativeError(enlarged.data, expected)).toBeLessThan(TOLERANCE);

    const start = { model, latent: first.latent };
    const batch = { seeds, iteration: 0, hyperTile: null };
    const second = await runHires(withPass, hires, start, batch, null, tools, hooks);
    const latent = await recorded(`${run.name}.latent`);
    expect(relativeError(second.latent.data, latent)).toBeLessThan(TOLERANCE);
    expect(second.latent.shape[0]).toBe(run.batch);
  });
});
