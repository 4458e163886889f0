/** How the rows of one model call are cut into runs of the UNet. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Network } from '../../../networks/session.ts';
import type { Model } from '../../../pipelines/model/model.ts';
import { fixtureCheckpoint, relativeError } from '../../networks/fixture.ts';
import { makeJob } from '../job.ts';
import { openModel, sampleLatent } from '../tiny.ts';

const LONG = 'a tall ship BREAK on a green sea';
/** What another batch size or another order of sums may change. */
const ROUNDING = 1e-4;

let model: Model;
beforeAll(async () => {
  model = await openModel(fixtureCheckpoint('sd15'));
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => model.release());

async function drawOne(prompt: string, batchSize: number, batchCondUncond: boolean) {
  await model.unet(false);
  const run = vi.spyOn(Network.prototype, 'run');
  const options = { ...makeJob('').options, batchCondUncond };
  const latent = await sampleLatent(model, { prompt, batchSize, steps: 1, options });
  const rows = run.mock.calls.flatMap(([{ sample }]) => sample?.shape[0] ?? []);
  run.mockRestore();
  return { rows, latent };
}

describe('rows in one run of the UNet', () => {
  // As many as A1111 has: with the switch off, a batch of pictures at a time.
  it.each([
    ['a fox', 1, true, [2]],
    ['a fox', 1, false, [1, 1]],
    ['a fox', 2, true, [4]],
    ['a fox', 2, false, [2, 2]],
    ['a fox AND snow AND dawn', 2, true, [8]],
    ['a fox AND snow AND dawn', 2, false, [2, 2, 2, 2]],
    [LONG, 2, true, [2, 2]],
    [`${LONG} AND snow AND dawn`, 2, true, [4, 2, 2]],
    [`${LONG} AND snow AND dawn`, 2, false, [2, 2, 2, 2]],
  ])('%s, pictures %i, batch_cond_uncond %s: %s', async (prompt, pictures, batched, expected) => {
    const { rows, latent } = await drawOne(prompt, pictures, batched);
    expect(rows).toEqual(expected);
    const other = await drawOne(prompt, pictures, !batched);
    expect(relativeError(latent, other.latent)).toBeLessThan(ROUNDING);
  });
});
