/** What the web UI's sampling options do to a run on a tiny checkpoint. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobOptions, Txt2ImgJob } from '../../pipelines/job.ts';
import type { Model } from '../../pipelines/model/model.ts';
import { fixtureCheckpoint, relativeError } from '../networks/fixture.ts';
import { makeJob } from './job.ts';
import { openModel, sampleLatent } from './tiny.ts';

/** What two ways of doing the same arithmetic may differ by. */
const ROUNDING = 1e-5;
/** What an option must change at least. */
const SEEN = 1e-4;

const LONG_PROMPT = 'a tall ship on a green sea under two moons and many small stars '.repeat(6);

let model: Model;

beforeAll(async () => {
  model = await openModel(fixtureCheckpoint('sd15'));
});
afterAll(() => model.release());

function latentOf(options: Partial<JobOptions>, changes: Partial<Txt2ImgJob> = {}) {
  const { options: usual } = makeJob('');
  return sampleLatent(model, {
    prompt: 'a fox',
    negativePrompt: 'blurry',
    steps: 6,
    ...changes,
    options: { ...usual, ...options },
  });
}

describe('options that change the latent', () => {
  it.each<[string, Partial<JobOptions>, Partial<Txt2ImgJob>]>([
    ['s_min_uncond', { sMinUncond: 100 }, {}],
    ['skip_early_cond', { skipEarlyCond: 0.3 }, {}],
    ['cfg_rescale', { cfgRescale: 0.7 }, {}],
    ['rho', { rho: 3 }, { scheduler: 'Karras' }],
    ['beta_dist_alpha', { betaAlpha: 1.5 }, { scheduler: 'Beta' }],
    ['beta_dist_beta', { betaBeta: 1.5 }, { scheduler: 'Beta' }],
    ['sd_noise_schedule', { noiseSchedule: 'Zero Terminal SNR' }, {}],
    ['use_downcasted_alpha_bar', { downcastsAlphas: true }, {}],
    ['enable_quantization', { quantizesTimesteps: true }, { scheduler: 'Karras' }],
    ['always_discard_next_to_last_sigma', { alwaysDiscardNextToLastSigma: true }, {}],
    ['sgm_noise_multiplier', { sgmNoiseMultiplier: true }, {}],
    ['eta_noise_seed_delta', { etaNoiseSeedDelta: 31337 }, { sampler: 'Euler a' }],
    ['eta_ancestral', { etaAncestral: 0.5 }, { sampler: 'Euler a' }],
    ['eta_ddim', { etaDdim: 0.5 }, { sampler: 'DDIM' }],
    ['s_churn', { sChurn: 2 }, {}],
    ['pad_cond_uncond', { padCondUncond: true }, { prompt: LONG_PROMPT }],
    ['pad_cond_uncond_v0', { padCondUncondV0: true }, { prompt: LONG_PROMPT }],
  ])('%s', async (_, options, changes) => {
    const usual = await latentOf({}, changes);
    const latent = await latentOf(options, changes);
    expect(latent.every(Number.isFinite)).toBe(true);
    expect(relativeError(latent, usual)).toBeGreaterThan(SEEN);
  });

  it.each<[string, Partial<JobOptions['uniPc']>]>([
    ['variant bh2', { variant: 'bh2' }],
    ['variant vary_coeff', { variant: 'vary_coeff' }],
    ['quadratic times', { skipType: 'time_quadratic' }],
    ['times even in logSNR', { skipType: 'logSNR' }],
    ['order 1', { order: 1 }],
    ['full order to the end', { lowerOrderFinal: false }],
  ])('UniPC: %s', async (_, changed) => {
    const { uniPc } = makeJob('').options;
    const usual = await latentOf({}, { sampler: 'UniPC' });
    const latent = await latentOf({ uniPc: { ...uniPc, ...changed } }, { sampler: 'UniPC' });
    expect(relativeError(latent, usual)).toBeGreaterThan(SEEN);
  });
});

describe('options that come to the same as something else', () => {
  it('no uncond at any level is guidance 1', async () => {
    const alone = await latentOf({}, { cfgScale: 1 });
    expect(await latentOf({ sMinUncond: 1000, sMinUncondAll: true })).toEqual(alone);
    expect(await latentOf({ skipEarlyCond: 1 })).toEqual(alone);
  });

  it("old Karras sigmas are the schedule's ends at 0.1 and 10", async () => {
    const changes = { scheduler: 'Karras' };
    expect(await latentOf({ useOldKarrasSigmas: true }, changes)).toEqual(
      await latentOf({ sigmaMin: 0.1, sigmaMax: 10 }, changes),
    );
  });

  it('quantized timesteps change nothing on a schedule of whole ones', async () => {
    const changes = { scheduler: 'Simple' };
    expect(
      relativeError(
        await latentOf({ quantizesTimesteps: true }, changes),
        await latentOf({}, changes),
      ),
    ).toBeLessThan(ROUNDING);
  });

  it('old scheduling reads 1.0 as a step and not as all steps', async () => {
    const edited = { prompt: 'a [fox:ship:1.0]' };
    const old = await latentOf({ useOldScheduling: true }, edited);
    expect(old).toEqual(await latentOf({}, { prompt: 'a [fox:ship:1]' }));
    expect(old).not.toEqual(await latentOf({}, edited));
  });

  it('cond and uncond in one run or in two', async () => {
    const usual = await latentOf({});
    expect(relativeError(await latentOf({ batchCondUncond: false }), usual)).toBeLessThan(ROUNDING);
  });

  it('a long negative prompt is cut to the prompt’s length by pad_cond_uncond_v0', async () => {
    // The first chunk alone decides: what is cut off does not reach the picture.
    const first = 'a tall ship on a green sea under two moons and many small stars '.repeat(5);
    const v0 = { padCondUncondV0: true };
    const cut = await latentOf(v0, { negativePrompt: `${first} BREAK one thing` });
    expect(cut).toEqual(await latentOf(v0, { negativePrompt: `${first} BREAK another` }));
    expect(cut).toEqual(await latentOf({}, { negativePrompt: first }));
  });
});
