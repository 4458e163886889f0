/** Every method of four npm packages, unchanged, against the command with its demo checkpoint. */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { StableDiffusionApi as A1111Api } from 'a1111-webui-api';
import { automatic1111, generateImage } from 'modelfusion';
import sdwebui from 'node-sd-webui';
import sharp from 'sharp';
import { StableDiffusionApi } from 'stable-diffusion-api';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { readInfotext } from '../../images/read-infotext.ts';
import { CAPTIONER_FOLDER } from '../networks/captioner/fixture.ts';
import { type ServerProcess, spawnServer } from '../process/server-process.ts';
import { startDemoServer } from './demo-server.ts';

const SMALL = { width: 64, height: 64, steps: 1 };
const USER = { name: 'ada', password: 'correct-horse' };

let server: ServerProcess;
/** A red square with a blue half: something that a picture can be compared with. */
const square = () =>
  sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } }).composite([
    {
      input: { create: { width: 32, height: 64, channels: 3, background: 'blue' } },
      left: 0,
      top: 0,
    },
  ]);

beforeAll(async () => {
  server = await startDemoServer(['--skip-load-model-at-start']);
}, 60_000);
afterAll(() => server.close());

async function sizeOf(image: Buffer | undefined): Promise<string> {
  const { format, width, height } = await sharp(image).metadata();
  return `${format} ${width}x${height}`;
}

/** Whether a picture shows anything at all. */
async function isDrawn(image: Buffer): Promise<boolean> {
  const { channels } = await sharp(image).stats();
  return channels.some(({ stdev }) => stdev > 1);
}

describe.each([
  ['stable-diffusion-api', StableDiffusionApi],
  ['a1111-webui-api', A1111Api],
])('%s', (_name, Api) => {
  const connect = () => new Api({ baseUrl: server.url, defaultStepCount: 1 });

  it('txt2img', async () => {
    const result = await connect().txt2img({
      ...SMALL,
      prompt: 'a red boat',
      seed: 5,
      batch_size: 2,
    });
    expect(result.images).toHaveLength(2);
    const pictures = await Promise.all(result.images.map((image) => image.png().toBuffer()));
    expect(await Promise.all(pictures.map(sizeOf))).toEqual(['png 64x64', 'png 64x64']);
    expect(await isDrawn(pictures[0] as Buffer)).toBe(true);
    expect(JSON.parse(String(result.info))).toMatchObject({ all_seeds: [5, 6] });
  });

  it('img2img, with a mask', async () => {
    const white = { width: 16, height: 64, channels: 3 as const, background: 'white' };
    const mask = sharp({
      create: { width: 64, height: 64, channels: 3, background: 'black' },
    }).composite([{ input: { create: white }, left: 48, top: 0 }]);
    const result = await connect().img2img({
      ...SMALL,
      init_images: [square()],
      // Only the right quarter is white: the rest may not change.
      mask_image: mask,
      mask_blur: 0,
      prompt: 'a boat',
      steps: 2,
    });
    const { data, info } = await result.image.raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height]).toEqual([64, 64]);
    expect([...data.subarray(0, 3)]).toEqual([0, 0, 255]);
    expect([...data.subarray(40 * 3, 41 * 3)]).toEqual([255, 0, 0]);
    expect([...data.subarray(60 * 3, 61 * 3)]).not.toEqual([255, 0, 0]);
  });

  it('extraSingle and extraBatch', async () => {
    const api = connect();
    const upscaling = { upscaler_1: 'Lanczos', upscaling_resize: 2 };
    const one = await api.extraSingle({ image: square(), ...upscaling });
    expect(await sizeOf(await one.image.png().toBuffer())).toBe('png 128x128');
    const many = await api.extraBatch({
      // Only its typings want this one.
      image: square(),
      images: [square(), square()],
      name_list: ['a', 'b'],
      ...upscaling,
    });
    expect(many.images).toHaveLength(2);
    expect(await sizeOf(await many.images[1]?.png().toBuffer())).toBe('png 128x128');
  });

  it('pngInfo', async () => {
    const drawn = await connect().txt2img({ ...SMALL, prompt: 'a red boat', seed: 7 });
    // Its own sharp rewrites the picture: a PNG keeps the text only when asked to.
    const read = await connect().pngInfo(drawn.image.keepMetadata());
    expect(read.response.status).toBe(200);
    expect(read.response.data).toHaveProperty('parameters');
  });

  it('interrogate is told which files are missing, and gets words when they are there', async () => {
    const ask = () => connect().interrogate(square(), 'clip');
    const folder = join(server.folder, 'models', 'BLIP');
    rmSync(folder, { recursive: true, force: true });
    const error: unknown = await ask().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      response: { status: 422, data: { detail: expect.stringContaining('captioning model') } },
    });
    mkdirSync(folder, { recursive: true });
    for (const name of ['model.safetensors', 'vocab.txt']) {
      copyFileSync(join(CAPTIONER_FOLDER, name), join(folder, name));
    }
    const { response } = await ask();
    expect((response.data as { caption?: string }).caption).toMatch(/^[a-z]/);
  });

  it('getOptions and setOptions', async () => {
    const api = connect();
    const options: Record<string, unknown> = await api.getOptions();
    await api.setOptions({ ...options, send_seed: !options.send_seed });
    expect(await api.getOptions()).toHaveProperty('send_seed', !options.send_seed);
    await api.setOptions(options);
  });

  it('getProgress and waitForReady', async () => {
    expect(await connect().getProgress(true)).toMatchObject({
      progress: 0,
      state: { job_count: 0 },
    });
    expect(await connect().waitForReady(0.05)).toBe(true);
  });

  it('the lists', async () => {
    const api = connect();
    const lists = await Promise.all([
      api.getSamplers(),
      api.getUpscalers(),
      api.getSdModels(),
      api.getHypernetworks(),
      api.getFaceRestorers(),
      api.getRealesrganModels(),
      api.getPromptStyles(),
    ]);
    for (const list of lists) expect(Array.isArray(list)).toBe(true);
    expect(lists[0].map(({ name }) => name)).toContain('Euler a');
    expect(lists[1].map(({ name }) => name)).toContain('Lanczos');
    expect(await api.getCmdFlags()).toHaveProperty('port');
  });

  it('refreshCheckpoints, getCurrentModel and setModel', async () => {
    const api = connect();
    await api.refreshCheckpoints();
    const [model] = await api.getSdModels();
    await api.setModel(model?.model_name ?? '');
    expect(await api.getCurrentModel()).toBe(model?.title);
    // The nearest name is taken.
    await api.setModel(`${model?.model_name}x`);
    expect(await api.getCurrentModel()).toBe(model?.title);
  });

  it('ControlNet: getModels, getModules and detect', async () => {
    const { ControlNet } = connect();
    expect(await ControlNet.getModels()).toEqual([]);
    expect(await ControlNet.getModules()).toEqual(['none']);
    const seen = await ControlNet.detect({ controlnet_input_images: [square()] });
    expect(await sizeOf(await seen.image.png().toBuffer())).toBe('png 64x64');
  });
});

describe('setAuth', () => {
  let locked: ServerProcess;

  beforeAll(async () => {
    const flags = ['--skip-load-model-at-start', '--api-auth', `${USER.name}:${USER.password}`];
    locked = await spawnServer(flags, [], 'server/main.ts');
    // Only `/health` is answered without a password.
    await vi.waitFor(async () => expect((await locked.get('/health')).status).toBe(200), 30_000);
  }, 40_000);
  afterAll(() => locked.close());

  it.each([
    ['stable-diffusion-api', StableDiffusionApi],
    ['a1111-webui-api', A1111Api],
  ])('of %s opens a server that asks for a password', async (_name, Api) => {
    const api = new Api({ baseUrl: locked.url });
    await expect(api.getOptions()).rejects.toMatchObject({ response: { status: 401 } });
    api.setAuth(USER.name, USER.password);
    expect(await api.getOptions()).toHaveProperty('send_seed');
  });
});

describe('node-sd-webui', () => {
  const client = () => sdwebui({ apiUrl: server.url });
  const small = { width: 64, height: 64, steps: 1, batchSize: 1 };

  it('txt2img, and pngInfo of the picture', async () => {
    const result = await client().txt2img({
      ...{ ...small, prompt: 'a red boat', negativePrompt: 'fog', seed: 3, cfgScale: 7 },
      samplingMethod: 'Euler a',
    });
    const [image = ''] = result.images;
    expect(await sizeOf(Buffer.from(image, 'base64'))).toBe('png 64x64');
    const read = await client().pngInfo({ imageData: image });
    expect(read).toMatchObject({ prompt: 'a red boat', negativePrompt: 'fog', steps: 1 });
  });

  it('txt2img with a script', async () => {
    const result = await client().txt2img({
      ...{ ...small, prompt: 'a boat|red', seed: 3 },
      script: { name: 'Prompt matrix', args: [] },
    });
    // Two pictures and their grid.
    expect(result.images).toHaveLength(3);
  });

  it('img2img', async () => {
    const imageData = [(await square().png().toBuffer()).toString('base64')];
    const result = await client().img2img({ ...small, prompt: 'a boat', imageData });
    expect(await sizeOf(Buffer.from(result.images[0] ?? '', 'base64'))).toBe('png 64x64');
  });
});

describe('modelfusion', () => {
  it('generates a picture', async () => {
    const { hostname: host, port } = new URL(server.url);
    const image = await generateImage({
      model: automatic1111
        .ImageGenerator({
          api: automatic1111.Api({ baseUrl: { host, port } }),
          model: 'sdserve-demo.safetensors',
          ...{ ...SMALL, steps: 2, seed: 9, sampler: 'Euler a' },
        })
        .withTextPrompt(),
      prompt: 'a red boat',
    });
    const bytes = Buffer.from(image);
    expect(await sizeOf(bytes)).toBe('png 64x64');
    expect(JSON.stringify(await readInfotext(bytes))).toContain('Seed: 9');
  });
});
