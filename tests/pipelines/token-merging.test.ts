/** Token merging in a job: its latent, and what its infotext says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Options } from '../../openapi/schemas/options.ts';
import type { Model } from '../../pipelines/model/model.ts';
import { txt2img } from '../../pipelines/txt2img.ts';
import { toJobOptions } from '../../routes/job-options.ts';
import { fixtureCheckpoint, relativeError } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';
import { openModel, SMALL, sampleLatent } from './tiny.ts';

const NO_NUMBERS = { s_min_uncond: null, s_churn: null, s_tmin: null, s_tmax: null, s_noise: null };
const SEEN = 1e-4;

let model: Model;
beforeAll(async () => {
  model = await openModel(fixtureCheckpoint('sd15'));
});
afterAll(() => model.release());

const optionsOf = (changes: Partial<Options>) =>
  toJobOptions(Options.parse(changes), { ...NO_NUMBERS });

describe('token merging in a job', () => {
  it('changes the latent, and a ratio of 0 does not', async () => {
    const draw = (ratio: number) =>
      sampleLatent(model, { options: optionsOf({ token_merging_ratio: ratio }) });
    const plain = await draw(0);
    expect(relativeError(await draw(0.5), plain)).toBeGreaterThan(SEEN);
    expect(await draw(0)).toEqual(plain);
  });

  it('is told in the infotext', async () => {
    const options = optionsOf({ token_merging_ratio: 0.5 });
    const job = makeJob(model.checkpoint.path, { ...SMALL, options });
    const { infotexts } = await txt2img(job, model, recordHooks());
    expect(infotexts[0]).toContain('Token merging ratio: 0.5');
    expect(infotexts[0]).not.toContain('Token merging ratio hr');
  });

  it('has a ratio of its own for the second pass, or the same', () => {
    expect(optionsOf({ token_merging_ratio: 0.5 }).tokenMergingRatioHr).toBe(0.5);
    const own = { token_merging_ratio: 0.5, token_merging_ratio_hr: 0.2 };
    expect(optionsOf(own).tokenMergingRatioHr).toBe(0.2);
  });
});
