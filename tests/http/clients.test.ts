import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFixture } from '../images/fixture.ts';
import { upscalerFile } from '../networks/upscaler/fixture.ts';
import { addLora, startTestServer, type TestServer } from './test-server.ts';

/** Requests as clients really send them; all of them must be answered 200. */

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    vaes: ['fine.safetensors'],
    styles: 'name,prompt,negative_prompt\nink,"ink, {prompt}",blurry\n',
  });
  addLora(server, 'ink');
  mkdirSync(join(server.folder, 'models', 'RealESRGAN'));
  copyFileSync(
    upscalerFile('x4plus'),
    join(server.folder, 'models', 'RealESRGAN', 'RealESRGAN_x4plus.safetensors'),
  );
  await server.post('/sdapi/v1/refresh-loras');
  await server.context.upscalers.refresh();
});
afterAll(() => server.close());

const TXT2IMG = '/sdapi/v1/txt2img';

/** The one request of A1111's own tests. */
const A1111 = {
  batch_size: 1,
  cfg_scale: 7,
  denoising_strength: 0,
  enable_hr: false,
  eta: 0,
  firstphase_height: 0,
  firstphase_width: 0,
  height: 64,
  n_iter: 1,
  negative_prompt: '',
  prompt: 'example prompt',
  restore_faces: false,
  s_churn: 0,
  s_noise: 1,
  s_tmax: 0,
  s_tmin: 0,
  sampler_index: 'Euler a',
  seed: -1,
  seed_resize_from_h: -1,
  seed_resize_from_w: -1,
  steps: 3,
  styles: [],
  subseed: -1,
  subseed_strength: 0,
  tiling: false,
  width: 64,
};

describe('txt2img', () => {
  it.each([
    ['A1111: plain', A1111],
    ['A1111: negative prompt', { ...A1111, negative_prompt: 'example negative prompt' }],
    [
      'A1111: complex prompt',
      {
        ...A1111,
        prompt: '((emphasis)), (emphasis1:1.1), [to:1], [from::2], [from:to:0.3], [a|b]',
      },
    ],
    ['A1111: not square', { ...A1111, height: 128 }],
    ['A1111: tiling', { ...A1111, tiling: true }],
    ['A1111: restore faces', { ...A1111, restore_faces: true }],
    ['A1111: hires fix', { ...A1111, enable_hr: true }],
    ['A1111: PLMS', { ...A1111, sampler_index: 'PLMS' }],
    ['A1111: DDIM', { ...A1111, sampler_index: 'DDIM' }],
    ['A1111: UniPC', { ...A1111, sampler_index: 'UniPC' }],
    ['A1111: two batches', { ...A1111, n_iter: 2 }],
    ['A1111: a batch of two', { ...A1111, batch_size: 2 }],
    [
      'a browser front-end',
      {
        ...{ seed: '-1', mask: '', init_images: [], batch_size: 2, n_iter: 2, steps: 4 },
        ...{ inpaint_full_res: true, inpainting_fill: 1, outpainting_fill: 2, enable_hr: false },
        ...{ hr_scale: 2, hr_upscaler: 'Latent', hr_square_aspect: false, upscale_x: 1 },
        ...{ hr_denoising_strength: 0.7, hr_fix_lock_px: 0, enable_refiner: false },
        ...{ styles: [], alwayson_scripts: {} },
      },
    ],
    [
      'a Python library',
      {
        ...{ sampler_name: 'Euler a', sampler_index: 'Euler a', scheduler: 'automatic' },
        ...{ hr_checkpoint_name: null, hr_sampler_name: null, hr_scheduler: null },
        ...{ eta: 1.0, s_tmax: 0, s_churn: 0, s_noise: 1, override_settings: {} },
      },
    ],
    [
      'an npm library',
      {
        ...{ alwayson_scripts: { ControlNet: { args: [] } }, use_deprecated_controlnet: false },
        ...{ hr_second_pass_steps: 0, script_args: [], script_name: null },
      },
    ],
    [
      'a Discord bot',
      {
        ...{ denoising_strength: null, hr_second_pass_steps: 12.5, styles: ['None'] },
        ...{ seed_resize_from_w: -1, seed_resize_from_h: -1, sampler_name: 'Euler a' },
      },
    ],
    ['a phone app', { seed: '123', subseed: '-1', hr_scale: '1.0', clip_skip: 0 }],
    [
      'a bot with overrides',
      {
        override_settings: {
          sd_model_checkpoint: 'gone.safetensors [0123456789]',
          eta_noise_seed_delta: 31_337,
          CLIP_stop_at_last_layers: 2,
          ddim_discretize: 'uniform',
          img2img_fix_steps: false,
          sd_hypernetwork: 'None',
          inpainting_mask_weight: 1,
          initial_noise_multiplier: 1,
          comma_padding_backtrack: 20,
          sd_vae: 'gone.vae.pt',
        },
      },
    ],
    ['a single-page front-end', { lora: [{ path: 'x.safetensors', multiplier: 1.5 }] }],
    ['a front-end with a password in the body', { auth: { user: 'a', password: 'hunter2' } }],
    ['nulls for almost anything', { prompt: null, steps: null, width: null, cfg_scale: null }],
  ])('of %s is answered with pictures and integer seeds', async (_name, body) => {
    const response = await server.post(TXT2IMG, body);
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).not.toContain('hunter2');
    const { images, info } = JSON.parse(text);
    expect(images.length).toBeGreaterThan(0);
    for (const seed of JSON.parse(info).all_seeds) {
      expect(String(seed)).toMatch(/^\d{1,10}$/);
    }
  });

  it.each(['DPM++ 2M Karras', 'Euler a', 'k_euler_a', 'k_euler', 'DDIM', 'Heun', 'euler a'])(
    'takes the sampler name %s',
    async (name) => {
      expect((await server.post(TXT2IMG, { sampler_name: name })).status).toBe(200);
    },
  );
});

describe('a bot that starts', () => {
  /** Keys of the object, or of the list's first element; null for a list that is empty. */
  const LISTS: readonly (readonly [path: string, keys: readonly string[] | null])[] = [
    ['samplers', ['name', 'aliases', 'options']],
    ['prompt-styles', ['name', 'prompt', 'negative_prompt']],
    ['face-restorers', null],
    ['embeddings', ['loaded', 'skipped']],
    ['hypernetworks', null],
    ['upscalers', ['name', 'model_name', 'model_path', 'model_url', 'scale']],
    ['sd-models', ['title', 'model_name', 'hash', 'sha256', 'filename', 'config']],
    ['cmd-flags', ['port']],
    ['loras', ['name', 'alias', 'path', 'metadata']],
    ['options', ['sd_model_checkpoint', 'samples_format', 'CLIP_stop_at_last_layers']],
    ['sd-vae', ['model_name', 'filename']],
    ['schedulers', ['name', 'label']],
    ['latent-upscale-modes', ['name']],
    ['realesrgan-models', ['name', 'path', 'scale']],
    ['scripts', ['txt2img', 'img2img']],
  ];

  it.each(LISTS)('gets %s with what it reads there', async (path, keys) => {
    // Content-Type on a GET is what one of them sends.
    const response = await server.get(`/sdapi/v1/${path}`, {
      headers: { 'Content-Type': 'application/json' },
    });
    expect(response.status).toBe(200);
    const answer = (await response.json()) as object | object[];
    const first = Array.isArray(answer) ? answer[0] : answer;
    if (keys === null) expect(answer).toEqual([]);
    else expect(Object.keys(first ?? {})).toEqual(expect.arrayContaining([...keys]));
  });

  it('gets JSON where there is nothing', async () => {
    expect(await (await server.post('/login', { username: 'a' })).json()).toEqual({
      detail: 'Not Found',
    });
    expect(await (await server.get('/config')).json()).toEqual({ detail: 'Not Found' });
  });
});

describe('a browser front-end', () => {
  it('enlarges a picture with a slash behind the path and numbers as texts', async () => {
    const image = `data:image/png;base64,${readFixture('rgb.png').toString('base64')}`;
    const response = await server.post('/sdapi/v1/extra-single-image/', {
      ...{ 'resize-mode': 0, upscaling_resize: '2', upscaler_1: 'Lanczos', image },
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toHaveProperty('image');
    expect(server.engine.upscales.at(-1)).toMatchObject({
      first: { name: 'Lanczos' },
      target: { factor: 2 },
    });
  });

  it('draws with a slash behind the path, and reads it with a type on the GET', async () => {
    expect((await server.post('/sdapi/v1/txt2img/', { steps: 1 })).status).toBe(200);
    const headers = { 'Content-Type': 'application/json' };
    expect((await server.get('/sdapi/v1/options/', { headers })).status).toBe(200);
  });
});

describe('a single-page front-end', () => {
  it('gets the LoRA that it names beside the prompt', async () => {
    const lora = [{ path: 'ink.safetensors', multiplier: 1.5 }];
    expect((await server.post(TXT2IMG, { prompt: 'a boat', lora })).status).toBe(200);
    const job = server.engine.jobs.at(-1);
    expect(job?.loras.map(({ name }) => name)).toEqual(['ink']);
    expect(job?.prompt).toBe('a boat<lora:ink:1.5>');
  });
});

describe('a paint program', () => {
  it('counts as connected', async () => {
    const response = await server.get('/queue/status');
    expect([response.status, await response.json()]).toEqual([
      200,
      expect.objectContaining({ msg: 'estimation', queue_size: 0 }),
    ]);
  });

  it('is shown a sentence when something is refused', async () => {
    for (const body of [{ steps: 0 }, { sampler_name: 'nothing' }]) {
      const answer = (await (await server.post(TXT2IMG, body)).json()) as { message?: string };
      expect(answer.message).toMatch(/\w/);
    }
  });
});

describe('A1111’s own test of options', () => {
  it('writes, reads and restores send_seed', async () => {
    const read = async () =>
      (await (await server.get('/sdapi/v1/options')).json()) as { send_seed: boolean };
    const before = (await read()).send_seed;
    expect(typeof before).toBe('boolean');
    for (const value of [!before, before]) {
      expect((await server.post('/sdapi/v1/options', { send_seed: value })).status).toBe(200);
      expect((await read()).send_seed).toBe(value);
    }
  });
});
