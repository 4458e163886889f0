import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Txt2ImgJob } from '../../pipelines/job.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { upscalerFile } from '../networks/upscaler/fixture.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    checkpoints: ['a.safetensors', 'second model.safetensors'],
    styles: 'name,prompt,negative_prompt\nink,"ink of {prompt}",grey\n',
  });
  const folder = path.join(server.folder, 'models', 'ESRGAN');
  mkdirSync(folder);
  copyFileSync(upscalerFile('x4plus'), path.join(folder, '4x.safetensors'));
});
afterAll(() => server.close());

async function post(fields: Record<string, unknown>) {
  const body = { enable_hr: true, denoising_strength: 0.5, ...fields };
  const response = await server.post('/sdapi/v1/txt2img', body);
  const job = server.engine.jobs.at(-1) as Txt2ImgJob | undefined;
  const answer = (await response.json()) as Record<string, unknown>;
  return { status: response.status, body: answer, job, hires: job?.hires };
}

describe('enable_hr', () => {
  it('without more doubles the size in the latent, as often and as the first pass', async () => {
    const { status, body, job, hires } = await post({ prompt: 'a fox', steps: 7, cfg_scale: 5 });
    expect(status).toBe(200);
    expect(body.parameters).not.toHaveProperty('hr_cfg');
    expect(job).toMatchObject({ width: 512, height: 512, denoisingStrength: 0.5 });
    expect(hires).toMatchObject({
      enlarged: { width: 1024, height: 1024 },
      cut: { width: 0, height: 0 },
      upscaler: { latentMode: 'Latent' },
      ...{
        steps: 7,
        cfgScale: 5,
        sampler: 'Euler',
        scheduler: 'Automatic',
        denoisingStrength: 0.5,
      },
      ...{ prompt: 'a fox', negativePrompt: '', loras: [], model: null },
      asked: { upscaler: null, steps: 0, size: 2 },
      tiles: { size: 192, overlap: 8 },
    });
  });

  it('takes the second pass’s own numbers and names', async () => {
    const { job, hires } = await post({
      ...{ prompt: 'a fox', negative_prompt: 'dogs', styles: ['ink'] },
      ...{ hr_prompt: 'a cat # not this', hr_negative_prompt: '', hr_second_pass_steps: 9 },
      ...{ hr_sampler_name: 'Heun', hr_scheduler: 'karras', hr_cfg: 3 },
      ...{ hr_resize_x: 640, hr_resize_y: 768, hr_upscaler: '4x' },
      hr_checkpoint_name: 'second model',
      override_settings: { ESRGAN_tile: 64, img2img_extra_noise: 0.25 },
    });
    expect(job).toMatchObject({
      prompt: 'ink of a fox',
      negativePrompt: 'dogs, grey',
      sampler: 'Euler',
    });
    expect(hires).toMatchObject({
      ...{ prompt: 'ink of a cat \n', negativePrompt: 'dogs, grey', steps: 9 },
      ...{ sampler: 'Heun', scheduler: 'Karras', cfgScale: 3, extraNoise: 0.25 },
      enlarged: { width: 768, height: 768 },
      cut: { width: 16, height: 0 },
      upscaler: { name: '4x', kind: 'model' },
      tiles: { size: 64 },
      model: { checkpoint: { name: 'second model' }, vae: null },
      asked: { upscaler: '4x', steps: 9, size: { x: 640, y: 768 } },
    });
  });

  it('knows the words for "the same" that infotexts have', async () => {
    const { status, hires } = await post({
      hr_sampler_name: 'Use same sampler',
      hr_scheduler: 'Use same scheduler',
      hr_checkpoint_name: 'Use same checkpoint',
      sampler_name: 'Heun',
    });
    expect(status).toBe(200);
    expect(hires).toMatchObject({ sampler: 'Heun', model: null });
  });

  it('follows firstphase_width, and the option for old sizes', async () => {
    const first = await post({ firstphase_width: 128, firstphase_height: 192 });
    expect(first.job).toMatchObject({ width: 128, height: 192 });
    expect(first.hires?.enlarged).toEqual({ width: 256, height: 384 });
    const override_settings = { use_old_hires_fix_width_height: true };
    const old = await post({ width: 1024, height: 1024, override_settings });
    expect(old.job).toMatchObject({ width: 512, height: 512 });
    expect(old.hires?.enlarged).toEqual({ width: 1024, height: 1024 });
  });

  it('is read from an infotext', async () => {
    const infotext =
      'a fox\nSteps: 4, Sampler: Euler, Size: 128x64, Denoising strength: 0.4, ' +
      'Hires CFG Scale: 2.5, Hires upscale: 1.5, Hires steps: 3, Hires upscaler: Latent (nearest)';
    const response = await server.post('/sdapi/v1/txt2img', { infotext });
    expect(response.status).toBe(200);
    const { hires } = server.engine.jobs.at(-1) as Txt2ImgJob;
    expect(hires).toMatchObject({
      enlarged: { width: 192, height: 96 },
      upscaler: { latentMode: 'Latent (nearest)' },
      ...{ steps: 3, cfgScale: 2.5, denoisingStrength: 0.4 },
    });
  });

  it('saves the pictures of the first pass when the option says so', async () => {
    server.engine.work = async () => ({ beforeHires: [Buffer.from('first')] });
    const override_settings = { save_images_before_highres_fix: true, save_to_dirs: false };
    const { hires } = await post({ save_images: true, seed: 5, override_settings });
    server.engine.work = async () => ({});
    expect(hires?.keepsFirst).toBe(true);
    const files = readdirSync(path.join(server.folder, 'outputs', 'txt2img-images'));
    expect(files.sort()).toEqual(['00000-5-before-highres-fix.png', '00001-5.png']);
    expect((await post({})).hires?.keepsFirst).toBe(false);
  });

  it('false is no second pass', async () => {
    const { hires } = await post({ enable_hr: false, hr_upscaler: 'nope' });
    expect(hires).toBeNull();
  });
});

describe('refused is', () => {
  it.each<[Record<string, unknown>, number, string, RegExp]>([
    [{ denoising_strength: null }, 422, 'INVALID_REQUEST', /denoising_strength/],
    [{ hr_upscaler: 'nope' }, 404, 'UPSCALER_NOT_FOUND', /^could not find upscaler named nope$/],
    [{ hr_sampler_name: 'nope' }, 400, 'SAMPLER_NOT_FOUND', /^bad sampler name: nope$/],
    [{ hr_scheduler: 'nope' }, 400, 'SCHEDULER_NOT_FOUND', /Scheduler/],
    [{ hr_checkpoint_name: 'nope' }, 404, 'MODEL_NOT_FOUND', /^Could not find checkpoint/],
    [{ hr_scale: 16 }, 422, 'LIMIT_EXCEEDED', /8192/],
    [{ hr_scale: 0 }, 422, 'LIMIT_EXCEEDED', /hires size/],
    [{ hr_scale: 8, batch_size: 2 }, 422, 'LIMIT_EXCEEDED', /pixels/],
    [
      { width: 3000, height: 3000, hr_scale: 1.2, hr_upscaler: '4x' },
      422,
      'LIMIT_EXCEEDED',
      /model/,
    ],
  ])('%j', async (fields, status, code, sentence) => {
    const before = server.engine.jobs.length;
    const answer = await post(fields);
    expect(answer).toMatchObject({ status, body: { code } });
    expect(answer.body.message).toMatch(sentence);
    expect(server.engine.jobs).toHaveLength(before);
  });
});
