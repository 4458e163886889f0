import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { EngineError } from '../../server/engine/protocol.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';

const PATH = '/sdapi/v1/txt2img';

/** Any answer of the route: pictures, or one of the two shapes of an error. */
interface Answer {
  images: string[];
  parameters: Record<string, unknown>;
  info: string;
  detail: string & { loc: unknown[]; msg: string }[];
  errors: string;
  message: string;
}

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    checkpoints: ['tiny.safetensors', 'other.safetensors'],
    vaes: ['fine.safetensors'],
    styles: 'name,prompt,negative_prompt\nink,"{prompt}, ink drawing",blurry\n',
  });
});
afterAll(() => server.close());
beforeEach(() => {
  server.engine.jobs.length = 0;
  server.engine.work = async () => ({});
});

async function draw(body: object) {
  const response = await server.post(PATH, body);
  const answer = (await response.json()) as Answer;
  return { response, answer, job: server.engine.jobs.at(-1)! };
}

describe('a request', () => {
  it('answers base64 without prefix, the parameters, and info as a JSON text', async () => {
    const { response, answer } = await draw({ prompt: 'a cat', seed: 7, batch_size: 2 });
    expect(response.status).toBe(200);
    expect(answer.images).toEqual(
      [0, 1].map((i) => Buffer.from(`picture ${i}`).toString('base64')),
    );
    expect(JSON.parse(answer.info)).toMatchObject({ prompt: 'a cat', all_seeds: [7, 8] });
  });

  it('echoes the 55 fields of A1111 in its order, with defaults, and no unknown key', async () => {
    const { answer } = await draw({ auth: 'secret', prompt: 'x' });
    const keys = Object.keys(answer.parameters);
    expect(keys).toHaveLength(55);
    expect(keys.slice(0, 4)).toEqual(['prompt', 'negative_prompt', 'styles', 'seed']);
    expect(keys.slice(-3)).toEqual(['save_images', 'alwayson_scripts', 'infotext']);
    expect(answer.parameters).toMatchObject({ steps: 50, seed: -1, sampler_name: null });
    expect(JSON.stringify(answer)).not.toContain('secret');
  });

  it('fills defaults where A1111 does', async () => {
    const { job } = await draw({});
    expect(job).toMatchObject({
      steps: 50,
      cfgScale: 7,
      width: 512,
      height: 512,
      sampler: 'Euler',
      scheduler: 'Automatic',
      batchSize: 1,
      nIter: 1,
      eta: null,
      grid: false,
      seedResizeFromW: 0,
      output: { format: 'png', quality: 80, writeInfotext: true },
    });
    expect(job.checkpoint.name).toBe('other');
    expect(job.checkpoint.hash).toMatch(/^[0-9a-f]{10}$/);
  });

  it.each([{ seed: -1 }, { seed: '' }, { seed: null }, { seed: '-1' }, {}])(
    'draws a seed below 4294967294 for %j',
    async (body) => {
      const { job } = await draw(body);
      expect(Number.isInteger(job.seed)).toBe(true);
      expect(job.seed).toBeGreaterThanOrEqual(0);
      expect(job.seed).toBeLessThan(4_294_967_294);
    },
  );

  it('keeps the seed that was sent, as text or as a fraction', async () => {
    expect((await draw({ seed: '123' })).job.seed).toBe(123);
    expect((await draw({ seed: 5.0, subseed: '9' })).job).toMatchObject({ seed: 5, subseed: 9 });
  });

  it('applies styles and removes comments', async () => {
    const { job } = await draw({ prompt: 'a cat # mine', styles: ['ink', 'None'] });
    expect(job.prompt).not.toContain('mine');
    expect(job.prompt).toContain('a cat');
    expect(job.negativePrompt).toBe('blurry');
  });

  it('lets firstphase_width and firstphase_height replace the size', async () => {
    const { job } = await draw({ width: 512, firstphase_width: 128, firstphase_height: 192 });
    expect(job).toMatchObject({ width: 128, height: 192 });
    const { response, answer } = await draw({ firstphase_width: 128 });
    expect(response.status).toBe(422);
    expect(answer.detail).toContain('firstphase_height');
  });

  it('sends no pictures when send_images is false', async () => {
    const { answer } = await draw({ send_images: false });
    expect(answer.images).toEqual([]);
  });

  it('tells the task id in a header', async () => {
    const { response } = await draw({ force_task_id: 'mine' });
    expect(response.headers.get('x-task-id')).toBe('mine');
    expect((await draw({})).response.headers.get('x-task-id')).toMatch(
      /^task\(txt2img-[A-Z0-9]{7}\)$/,
    );
    expect((await draw({ force_task_id: 'bad\r\nSet-Cookie: a' })).response.status).toBe(200);
  });
});

describe('samplers', () => {
  it.each([
    [{ sampler_name: 'Euler a', sampler_index: 'DDIM' }, 'Euler a', 'Automatic'],
    [{ sampler_index: 'DDIM' }, 'DDIM', 'Automatic'],
    [{ sampler_name: '', sampler_index: 'DDIM' }, 'DDIM', 'Automatic'],
    [{ sampler_name: 'Euler Karras' }, 'Euler', 'Karras'],
    [{ sampler_name: 'DPM++ 2M', scheduler: 'exponential' }, 'DPM++ 2M', 'Exponential'],
    [{ sampler_name: 'k_euler_a', scheduler: 'automatic' }, 'Euler a', 'Automatic'],
  ])('reads %j', async (body, sampler, scheduler) => {
    const { job } = await draw(body);
    expect(job).toMatchObject({ sampler, scheduler });
  });

  it('answers 400 "Sampler not found" for what is none', async () => {
    const { response, answer } = await draw({ sampler_name: 'Eulr' });
    expect(response.status).toBe(400);
    expect(answer).toMatchObject({ error: 'HTTPException', detail: 'Sampler not found' });
    expect(server.engine.jobs).toHaveLength(0);
  });

  it('answers 400 for an unknown scheduler', async () => {
    const { response, answer } = await draw({ scheduler: 'Karas' });
    expect(response.status).toBe(400);
    expect(answer.detail).toBe('Scheduler not found');
  });
});

describe('limits', () => {
  it.each([
    ['width', 0],
    ['width', 100_000],
    ['height', 63],
    ['height', 4_097],
    ['steps', -1],
    ['steps', 0],
    ['steps', 151],
    ['batch_size', 1_000_000],
    ['n_iter', 101],
    ['seed', 2 ** 32],
    ['cfg_scale', -1],
    ['prompt', 'x'.repeat(20_001)],
  ])('refuses a bad %s and names the field', async (field, value) => {
    const { response, answer } = await draw({ [field]: value });
    expect(response.status).toBe(422);
    expect(answer.detail).toHaveLength(1);
    expect(answer.detail[0]?.loc).toEqual(['body', field]);
    expect(answer.detail[0]?.msg).toMatch(new RegExp(`^Expected .* for ${field} but received `));
    expect(server.engine.jobs).toHaveLength(0);
  });

  it.each([
    { width: 64, height: 4_096 },
    { steps: 1 },
    { steps: 150 },
    { n_iter: 100, width: 64, height: 64 },
    { seed: 2 ** 32 - 1 },
    { prompt: 'x'.repeat(20_000) },
    { width: 4_096, height: 4_096 },
    { width: 512, height: 512, batch_size: 64 },
  ])('takes the last value inside the limits', async (body) => {
    expect((await draw({ ...body, send_images: false })).response.status).toBe(200);
  });

  it('refuses more pixels than one batch may have, in less than 50 ms', async () => {
    const began = performance.now();
    const { response, answer } = await draw({ width: 4_096, height: 4_096, batch_size: 8 });
    expect(performance.now() - began).toBeLessThan(50);
    expect(response.status).toBe(422);
    expect(answer.detail).toContain('width x height x batch_size');
    expect(answer.detail).toContain('16777216');
  });

  it('refuses more pixels than one answer may have', async () => {
    const { response, answer } = await draw({ width: 2_048, height: 2_048, n_iter: 26 });
    expect(response.status).toBe(422);
    expect(answer.detail).toContain('n_iter');
  });
});

describe('what is not here', () => {
  it.each([
    [{ script_name: 'x/y/z/w plot' }, "Script 'x/y/z/w plot' not found"],
    [{ alwayson_scripts: { ADetailer: { args: [true, {}] } } }, "Script 'ADetailer' not found"],
    [
      { alwayson_scripts: { ControlNet: { args: [{ enabled: true, image: 'aaaa', weight: 1 }] } } },
      "Script 'ControlNet' not found",
    ],
  ])('is refused when it is active: %j', async (body, sentence) => {
    const { response, answer } = await draw(body);
    expect(response.status).toBe(422);
    expect(answer.detail).toContain(sentence);
    expect(answer.message).toBe(answer.detail);
  });

  it.each([
    { enable_hr: false, hr_scale: '1.0', hr_second_pass_steps: 12.5, hr_upscaler: 'Latent' },
    { refiner_checkpoint: 'None', refiner_switch_at: 0.8 },
    { refiner_checkpoint: null },
    { script_name: '' },
    { script_name: null, script_args: [] },
    { alwayson_scripts: { ControlNet: { args: [] } } },
    { alwayson_scripts: { ControlNet: { args: [{ enabled: false, image: 'aaaa' }] } } },
    { alwayson_scripts: { ControlNet: { args: [{ enabled: true, weight: 1, image: null }] } } },
    { alwayson_scripts: { ADetailer: { args: [false, false, { ad_model: 'x' }] } } },
    { alwayson_scripts: { Refiner: { args: [true, 'x', 0.8] } } },
    { restore_faces: false, tiling: false },
    { infotext: '' },
  ])('does no harm when it is off: %j', async (body) => {
    expect((await draw(body)).response.status).toBe(200);
  });

  it('is a comment when the picture stays honest', async () => {
    const { response, answer } = await draw({ restore_faces: true });
    expect(response.status).toBe(200);
    expect(JSON.parse(answer.info).comments[0]).toContain('restore_faces');
  });
});

describe('override_settings', () => {
  it('count for one job', async () => {
    const { job } = await draw({
      override_settings: { CLIP_stop_at_last_layers: '2.0', randn_source: 'CPU', s_noise: 1.003 },
      s_noise: 0.5,
    });
    expect(job.options).toMatchObject({ clipSkip: 2, noiseSource: 'CPU', sNoise: 1.003 });
    expect((await draw({ s_noise: 0.5 })).job.options).toMatchObject({ clipSkip: 1, sNoise: 0.5 });
  });

  it('choose a checkpoint by its title, and a VAE', async () => {
    const [tiny] = server.context.models.checkpoints.filter(({ baseName }) => baseName === 'tiny');
    const { job } = await draw({
      override_settings: { sd_model_checkpoint: tiny?.title, sd_vae: 'fine.safetensors' },
    });
    expect(job.checkpoint).toMatchObject({ name: 'tiny', hash: tiny?.shortHash });
    expect(job.vae?.name).toBe('fine.safetensors');
    expect((await draw({})).job.checkpoint.name).toBe('other');
  });

  it('never fail: unknown and unreadable ones become comments or nothing', async () => {
    const { response, answer } = await draw({
      override_settings: {
        sd_model_checkpoint: 'nowhere',
        sd_vae: 'nowhere',
        nonsense: 1,
        eta_noise_seed_delta: 31_337,
        ddim_discretize: 'uniform',
        img2img_fix_steps: true,
        sd_hypernetwork: 'None',
        inpainting_mask_weight: 1,
        initial_noise_multiplier: 1,
        comma_padding_backtrack: 'many',
      },
    });
    expect(response.status).toBe(200);
    const { comments } = JSON.parse(answer.info);
    expect(comments).toHaveLength(3);
    expect(comments.join()).toMatch(/comma_padding_backtrack.*nowhere.*nowhere/);
  });

  it('stay when they are not to be restored', async () => {
    await draw({
      override_settings: { jpeg_quality: 55 },
      override_settings_restore_afterwards: false,
    });
    expect(server.context.options.all().jpeg_quality).toBe(55);
  });
});

describe('failures of the engine', () => {
  it('are a 500 with the body of A1111, the code, and a message', async () => {
    server.engine.work = async () => {
      throw new EngineError('ENGINE_EXITED', 'The engine process ended (signal SIGKILL).');
    };
    const { response, answer } = await draw({});
    expect(response.status).toBe(500);
    expect(answer).toEqual({
      error: 'EngineError',
      detail: '',
      body: '',
      errors: 'The engine process ended (signal SIGKILL).',
      message: 'The engine process ended (signal SIGKILL).',
      code: 'ENGINE_EXITED',
    });
    server.engine.work = async () => ({});
    expect((await draw({})).response.status).toBe(200);
  });

  it('carry the domain error of a broken checkpoint', async () => {
    server.engine.work = async () => {
      throw new EngineError('HEADER_TOO_LARGE', 'tiny.safetensors: too large', 'CheckpointError');
    };
    const { response, answer } = await draw({});
    expect(response.status).toBe(500);
    expect(answer).toMatchObject({ error: 'CheckpointError', code: 'HEADER_TOO_LARGE' });
    expect(answer.errors).toContain('tiny.safetensors');
  });
});

describe('save_images', () => {
  const saved = () => {
    const root = join(server.folder, 'outputs', 'txt2img-images');
    const [date = ''] = existsSync(root) ? readdirSync(root) : [];
    return { date, root, names: date === '' ? [] : readdirSync(join(root, date)).sort() };
  };

  it('saves under number and seed in a folder of the day, and asks for a grid', async () => {
    const { response, job } = await draw({ save_images: true, seed: 40, batch_size: 2 });
    expect(response.status).toBe(200);
    expect(job.grid).toBe(true);
    const { date, root, names } = saved();
    expect(date).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(names).toEqual(['00000-40.png', '00001-41.png']);
    expect(readFileSync(join(root, date, '00001-41.png'), 'utf8')).toBe('picture 1');
    await draw({ save_images: true, seed: 9 });
    expect(saved().names).toEqual(['00000-40.png', '00001-41.png', '00002-9.png']);
  });

  it('answers with the pictures and a comment when they cannot be saved', async () => {
    const file = join(server.folder, 'outputs', 'txt2img-images', 'blocked');
    writeFileSync(file, '');
    await server.post('/sdapi/v1/options', { directories_filename_pattern: 'blocked' });
    const { response, answer } = await draw({ save_images: true });
    await server.post('/sdapi/v1/options', { directories_filename_pattern: '[date]' });
    expect(response.status).toBe(200);
    expect(answer.images).toHaveLength(1);
    expect(JSON.parse(answer.info).comments.join()).toContain('save_images');
    chmodSync(file, 0o600);
  });
});

describe('a client that leaves', () => {
  it('takes its waiting job with it and interrupts its running one', async () => {
    let seen: AbortSignal | undefined;
    server.engine.work = (_job, signal) =>
      new Promise((resolve) => {
        seen = signal;
        signal?.addEventListener('abort', () => resolve({}));
      });
    const first = new AbortController();
    const second = new AbortController();
    const json = { headers: { 'Content-Type': 'application/json' }, body: '{}' };
    const running = server.post(PATH, undefined, { ...json, signal: first.signal });
    await vi.waitFor(() => expect(server.context.queue.running).not.toBeNull());
    const waiting = server.post(PATH, undefined, { ...json, signal: second.signal });
    await vi.waitFor(() => expect(server.context.queue.waiting).toHaveLength(1));
    second.abort();
    await expect(waiting).rejects.toThrow();
    await vi.waitFor(() => expect(server.context.queue.waiting).toHaveLength(0));
    expect(server.engine.jobs).toHaveLength(1);
    first.abort();
    await expect(running).rejects.toThrow();
    await vi.waitFor(() => expect(server.context.queue.running).toBeNull());
    expect(seen?.aborted).toBe(true);
  });
});
