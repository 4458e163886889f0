import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobOptions } from '../../pipelines/job.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ checkpoints: ['tiny.safetensors', 'fine.safetensors'] });
});
afterAll(() => server.close());

/** The options that a job comes to with one option overridden, and without. */
async function optionsWith(override_settings: object): Promise<JobOptions> {
  const response = await server.post('/sdapi/v1/txt2img', { steps: 1, override_settings });
  expect(response.status).toBe(200);
  return server.engine.jobs.at(-1)!.options;
}

describe('override_settings reach the job', () => {
  it.each<[string, unknown, Partial<JobOptions>]>([
    ['s_min_uncond', 2.5, { sMinUncond: 2.5 }],
    ['s_min_uncond_all', true, { sMinUncondAll: true }],
    ['skip_early_cond', 0.25, { skipEarlyCond: 0.25 }],
    ['cfg_rescale', 0.7, { cfgRescale: 0.7 }],
    ['sigma_min', 0.1, { sigmaMin: 0.1 }],
    ['sigma_max', 10, { sigmaMax: 10 }],
    ['rho', 5, { rho: 5 }],
    ['use_old_karras_scheduler_sigmas', true, { useOldKarrasSigmas: true }],
    ['beta_dist_alpha', 0.9, { betaAlpha: 0.9 }],
    ['beta_dist_beta', 0.3, { betaBeta: 0.3 }],
    ['sd_noise_schedule', 'Zero Terminal SNR', { noiseSchedule: 'Zero Terminal SNR' }],
    ['use_downcasted_alpha_bar', true, { downcastsAlphas: true }],
    ['enable_quantization', true, { quantizesTimesteps: true }],
    ['always_discard_next_to_last_sigma', true, { alwaysDiscardNextToLastSigma: true }],
    ['sgm_noise_multiplier', true, { sgmNoiseMultiplier: true }],
    ['use_old_scheduling', true, { useOldScheduling: true }],
    ['eta_noise_seed_delta', 31337, { etaNoiseSeedDelta: 31337 }],
    ['eta_ancestral', 0.5, { etaAncestral: 0.5 }],
    ['eta_ddim', 0.5, { etaDdim: 0.5 }],
    ['s_churn', 3, { sChurn: 3 }],
    ['s_noise', 1.01, { sNoise: 1.01 }],
    ['pad_cond_uncond', true, { padCondUncond: true }],
    ['pad_cond_uncond_v0', true, { padCondUncondV0: true }],
    ['persistent_cond_cache', false, { keepsConditioning: false }],
    ['batch_cond_uncond', false, { batchCondUncond: false }],
    ['live_preview_content', 'Negative prompt', { previewContent: 'Negative prompt' }],
    ['randn_source', 'NV', { noiseName: 'NV' }],
    ['randn_source', 'CPU', { noiseName: 'CPU', noiseSource: 'CPU' }],
    ['token_merging_ratio_hr', 0.4, { tokenMergingRatioHr: 0.4 }],
  ])('%s', async (key, value, expected) => {
    const usual = await optionsWith({});
    expect(usual).not.toMatchObject(expected);
    expect(await optionsWith({ [key]: value })).toEqual({ ...usual, ...expected });
  });

  it('UniPC has four of them', async () => {
    const { uniPc } = await optionsWith({
      uni_pc_variant: 'vary_coeff',
      uni_pc_skip_type: 'logSNR',
      uni_pc_order: 2,
      uni_pc_lower_order_final: false,
    });
    expect(uniPc).toEqual({
      variant: 'vary_coeff',
      skipType: 'logSNR',
      order: 2,
      lowerOrderFinal: false,
    });
  });

  it('HyperTile has nine of them', async () => {
    const { hyperTile } = await optionsWith({
      ...{ hypertile_enable_unet: true, hypertile_enable_unet_secondpass: true },
      ...{ hypertile_max_depth_unet: 2, hypertile_max_tile_unet: 192 },
      ...{ hypertile_swap_size_unet: 4, hypertile_enable_vae: true },
      ...{ hypertile_max_depth_vae: 1, hypertile_max_tile_vae: 144 },
      hypertile_swap_size_vae: 5,
    });
    expect(hyperTile).toEqual({
      unet: { isEnabled: true, inSecondPass: true, maxDepth: 2, maxTile: 192, swapSize: 4 },
      vae: { isEnabled: true, maxDepth: 1, maxTile: 144, swapSize: 5 },
    });
  });

  it('a value that has no reading leaves the option as it was', async () => {
    expect((await optionsWith({ sd_noise_schedule: 'Cosine' })).noiseSchedule).toBe('Default');
  });
});

describe('refiner_checkpoint', () => {
  const refinerOf = async (body: object) => {
    const response = await server.post('/sdapi/v1/txt2img', { steps: 1, ...body });
    expect(response.status).toBe(200);
    return server.engine.jobs.at(-1)!.refiner;
  };

  it('is found by every name of a checkpoint', async () => {
    const asked = { refiner_checkpoint: 'fine.safetensors', refiner_switch_at: 0.8 };
    expect(await refinerOf(asked)).toMatchObject({
      checkpoint: { name: 'fine' },
      switchAt: 0.8,
      bySteps: false,
    });
    const override_settings = { refiner_switch_by_sample_steps: true };
    expect(await refinerOf({ ...asked, refiner_checkpoint: 'fine', override_settings })).toEqual({
      ...(await refinerOf(asked)),
      bySteps: true,
    });
    const firstPass = { hires_fix_refiner_pass: 'first pass' };
    expect(await refinerOf({ ...asked, override_settings: firstPass })).toEqual({
      ...(await refinerOf(asked)),
      pass: 'first pass',
    });
  });

  it('takes over from the first step when nothing says when', async () => {
    expect(await refinerOf({ refiner_checkpoint: 'fine' })).toMatchObject({ switchAt: 0 });
  });

  it.each([null, '', 'None', 'none'])('%j is none', async (refiner_checkpoint) => {
    expect(await refinerOf({ refiner_checkpoint, refiner_switch_at: 0.8 })).toBeNull();
  });

  it('that does not exist is an error with its name', async () => {
    const body = { refiner_checkpoint: 'nothing', refiner_switch_at: 0.8 };
    const response = await server.post('/sdapi/v1/txt2img', body);
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('Could not find checkpoint with name nothing');
  });
});
