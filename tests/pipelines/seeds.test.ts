/** The same numbers give the same picture: seeds of a batch, variations, repetition. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Txt2ImgJob } from '../../pipelines/job.ts';
import type { Model } from '../../pipelines/model/model.ts';
import { createRunner } from '../../pipelines/runner.ts';
import { fixtureCheckpoint } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';
import { maxDifference, openModel, SETTINGS, SMALL, sampleLatent } from './tiny.ts';

const SIZE = 4 * 8 * 8;
const PROMPT = { prompt: 'a fox', negativePrompt: 'blurry', seed: 77, subseed: 500 };
/**
 * Rows are independent, but a matrix product of more rows may sum in another order. Latents are of
 * size 5; an 8-bit picture sees 0.01.
 */
const ROUNDING = 1e-4;

let model: Model;

beforeAll(async () => {
  model = await openModel(fixtureCheckpoint('sd15'));
});
afterAll(() => model.release());

const part = (latents: Float32Array, i: number) => latents.subarray(i * SIZE, (i + 1) * SIZE);

describe('picture i of a batch', () => {
  it.each(['Euler', 'Euler a', 'DPM++ 2M', 'DDIM'])(
    'is the picture of seed + i: %s',
    async (sampler) => {
      const batch = await sampleLatent(model, { ...PROMPT, sampler, batchSize: 3 });
      for (const i of [0, 1, 2]) {
        const one = await sampleLatent(model, { ...PROMPT, sampler, seed: 77 + i });
        expect(maxDifference(part(batch, i), one), `${i}`).toBeLessThan(ROUNDING);
      }
      expect(maxDifference(part(batch, 0), part(batch, 1))).toBeGreaterThan(0.1);
    },
  );

  it('is a variation of one seed when there is a subseed strength', async () => {
    const variation = { ...PROMPT, subseedStrength: 0.3 };
    const batch = await sampleLatent(model, { ...variation, batchSize: 2 });
    for (const i of [0, 1]) {
      const one = await sampleLatent(model, { ...variation, subseed: 500 + i });
      expect(maxDifference(part(batch, i), one), `${i}`).toBeLessThan(ROUNDING);
    }
  });

  it('moves from the seed to the subseed with the strength', async () => {
    const seed = await sampleLatent(model, PROMPT);
    const other = await sampleLatent(model, { ...PROMPT, seed: 500 });
    const whole = await sampleLatent(model, { ...PROMPT, subseedStrength: 1 });
    const little = await sampleLatent(model, { ...PROMPT, subseedStrength: 0.05 });
    expect(maxDifference(whole, other)).toBeLessThan(ROUNDING);
    expect(maxDifference(little, seed)).toBeGreaterThan(1e-3);
    expect(maxDifference(little, seed)).toBeLessThan(maxDifference(other, seed));
  });
});

describe('the sources of noise', () => {
  it('give different pictures', async () => {
    const job = makeJob(model.checkpoint.path);
    const nv = await sampleLatent(model, PROMPT);
    const cpu = await sampleLatent(model, {
      ...PROMPT,
      options: { ...job.options, noiseSource: 'CPU' },
    });
    expect(maxDifference(cpu, nv)).toBeGreaterThan(0.1);
  });

  it('are changed by ENSD only after the first draw', async () => {
    const { options } = makeJob(model.checkpoint.path);
    const delta = { options: { ...options, etaNoiseSeedDelta: 31_337 } };
    const euler = [
      await sampleLatent(model, PROMPT),
      await sampleLatent(model, { ...PROMPT, ...delta }),
    ];
    const ancestral = { ...PROMPT, sampler: 'Euler a' };
    const noisy = [
      await sampleLatent(model, ancestral),
      await sampleLatent(model, { ...ancestral, ...delta }),
    ];
    expect(maxDifference(euler[0] as Float32Array, euler[1] as Float32Array)).toBe(0);
    expect(maxDifference(noisy[0] as Float32Array, noisy[1] as Float32Array)).toBeGreaterThan(0.01);
  });
});

describe('a whole job', () => {
  const job = (changes: Partial<Txt2ImgJob> = {}) =>
    makeJob(fixtureCheckpoint('sd15'), { ...SMALL, ...PROMPT, sampler: 'Euler a', ...changes });

  it('is the same to the byte when asked again, after an unload, and in a new runner', async () => {
    const runner = createRunner(SETTINGS);
    const first = await runner.run(job(), recordHooks());
    const again = await runner.run(job(), recordHooks());
    await runner.unload();
    const reloaded = await runner.run(job(), recordHooks());
    await runner.unload();
    const fresh = createRunner(SETTINGS);
    const elsewhere = await fresh.run(job(), recordHooks());
    await fresh.unload();
    for (const result of [again, reloaded, elsewhere]) {
      expect(result.images).toEqual(first.images);
      expect(result.infotexts).toEqual(first.infotexts);
    }
  });

  it('counts seeds over iterations and batches, in pictures, infotexts and info', async () => {
    const runner = createRunner(SETTINGS);
    const result = await runner.run(job({ nIter: 2, batchSize: 2, grid: true }), recordHooks());
    const third = await runner.run(job({ seed: 79 }), recordHooks());
    await runner.unload();
    expect(result.images).toHaveLength(5);
    expect(result.info.index_of_first_image).toBe(1);
    expect(result.info.all_seeds).toEqual([77, 78, 79, 80]);
    expect(result.infotexts.map((text) => /Seed: (\d+)/.exec(text)?.[1])).toEqual([
      '77',
      '77',
      '78',
      '79',
      '80',
    ]);
    expect(result.stepsExecuted).toBe(6);
    expect(third.infotexts[0]).toBe(result.infotexts[3]);
  });

  it('prints the hash of the request, also when it was not known when the model was loaded', async () => {
    const runner = createRunner(SETTINGS);
    const before = await runner.run(job({ steps: 1 }), recordHooks());
    const { checkpoint } = job();
    const known = { ...checkpoint, hash: '0123456789' };
    const after = await runner.run(job({ steps: 1, checkpoint: known }), recordHooks());
    await runner.unload();
    expect(before.infotexts[0]).not.toContain('Model hash');
    expect(after.infotexts[0]).toContain('Model hash: 0123456789');
    expect(after.info.sd_model_hash).toBe('0123456789');
  });
});
