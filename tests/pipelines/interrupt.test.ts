/** Interrupt and skip with a real (tiny) checkpoint: what ends, what is returned. */
import { afterAll, describe, expect, it, vi } from 'vitest';
import { createNetwork } from '../../networks/session.ts';
import type { JobHooks, JobProgress } from '../../pipelines/job.ts';
import { createRunner } from '../../pipelines/runner.ts';
import { fixtureCheckpoint } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';
import { SETTINGS } from './tiny.ts';

vi.mock('../../networks/session.ts', { spy: true });

const runner = createRunner(SETTINGS);
afterAll(() => runner.unload());

const STEPS = 8;
const job = (changes = {}) =>
  makeJob(fixtureCheckpoint('sd15'), {
    width: 64,
    height: 64,
    steps: STEPS,
    prompt: 'a fox',
    ...changes,
  });

/** Hooks that set a flag when a step of an iteration is reported. */
function stopAt(flag: 'interrupted' | 'skipped', iteration: number, step: number) {
  const hooks = recordHooks();
  const seen: [iteration: number, step: number][] = [];
  const stopping: JobHooks = {
    ...hooks,
    onProgress(progress: JobProgress) {
      seen.push([progress.jobNo, progress.samplingStep]);
      if (progress.jobNo === iteration && progress.samplingStep === step) {
        (hooks.control as Record<typeof flag, boolean>)[flag] = true;
      }
    },
  };
  return { hooks: stopping, seen };
}

describe('interrupt', () => {
  it.each(['Euler', 'Heun', 'DPM++ 2M', 'DDIM'])(
    'ends the job before its next model call and returns the picture so far: %s',
    async (sampler) => {
      const { hooks, seen } = stopAt('interrupted', 0, 3);
      const result = await runner.run(job({ sampler }), hooks);
      // Reported: 0 at the start, then 0 to 3 after the first four steps.
      expect(seen.map(([, step]) => step)).toEqual([0, 0, 1, 2, 3]);
      expect(result.stepsExecuted).toBe(4);
      expect(result.images).toHaveLength(1);
      expect(result.info.steps_executed).toBe(4);
      const whole = await runner.run(job({ sampler }), recordHooks());
      expect(result.images[0]).not.toEqual(whole.images[0]);
    },
  );

  it('in the second of three iterations returns two pictures', async () => {
    const { hooks, seen } = stopAt('interrupted', 1, 2);
    const result = await runner.run(job({ nIter: 3 }), hooks);
    expect(result.images).toHaveLength(2);
    expect(result.infotexts).toHaveLength(2);
    expect(result.stepsExecuted).toBe(STEPS + 3);
    expect(seen.at(-1)).toEqual([1, 2]);
    // As the web UI has it: seeds of all pictures that were asked for.
    expect(result.info.all_seeds).toEqual([0, 1, 2]);
    const [first] = (await runner.run(job(), recordHooks())).images;
    expect(result.images[0]).toEqual(first);
  });

  it('returns every picture of a batch', async () => {
    const { hooks } = stopAt('interrupted', 0, 1);
    expect((await runner.run(job({ batchSize: 2 }), hooks)).images).toHaveLength(2);
  });

  it('before the first model call decodes the noise, as the web UI does', async () => {
    const { hooks } = stopAt('interrupted', 0, 0);
    const result = await runner.run(job(), hooks);
    expect(result.stepsExecuted).toBe(0);
    expect(result.images).toHaveLength(1);
  });

  it('before the job begins returns nothing and loads nothing', async () => {
    const cold = createRunner(SETTINGS);
    const hooks = recordHooks();
    hooks.control.interrupted = true;
    vi.mocked(createNetwork).mockClear();
    const result = await cold.run(job({ nIter: 3 }), hooks);
    expect(createNetwork).not.toHaveBeenCalled();
    await cold.run(job(), recordHooks());
    expect(createNetwork).toHaveBeenCalled();
    await cold.unload();
    expect(result.images).toEqual([]);
    expect(result.infotexts).toEqual([]);
    expect(result.stepsExecuted).toBe(0);
    expect(hooks.steps).toEqual([]);
  });
});

describe('skip', () => {
  it('ends one iteration and goes on with the next', async () => {
    const { hooks, seen } = stopAt('skipped', 1, 2);
    const result = await runner.run(job({ nIter: 3 }), hooks);
    expect(result.images).toHaveLength(3);
    expect(result.stepsExecuted).toBe(STEPS + 3 + STEPS);
    expect(seen.at(-1)).toEqual([2, STEPS - 1]);
    const third = await runner.run(job({ seed: 2 }), recordHooks());
    expect(result.images[2]).toEqual(third.images[0]);
  });

  it('leaves nothing behind for the next job', async () => {
    const { hooks } = stopAt('skipped', 0, 1);
    expect((await runner.run(job(), hooks)).stepsExecuted).toBe(2);
    expect((await runner.run(job(), recordHooks())).stepsExecuted).toBe(STEPS);
  });
});
