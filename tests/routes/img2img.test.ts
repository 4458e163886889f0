import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Img2ImgJob } from '../../pipelines/job.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';

const PATH = '/sdapi/v1/img2img';
/** One red pixel. */
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
const BYTES = Buffer.from(PNG, 'base64');

interface Answer {
  images: string[];
  parameters: Record<string, unknown>;
  info: string;
  detail: string & { loc: unknown[]; msg: string }[];
  message: string;
}

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.engine.jobs.length = 0;
});

async function redraw(body: object) {
  const response = await server.post(PATH, body);
  const answer = (await response.json()) as Answer;
  return { response, answer, job: server.engine.jobs.at(-1) as Img2ImgJob };
}

describe('a request', () => {
  it('fills defaults where A1111 does', async () => {
    const { response, job } = await redraw({ init_images: [PNG] });
    expect(response.status).toBe(200);
    expect(job).toMatchObject({
      kind: 'img2img',
      denoisingStrength: 0.75,
      steps: 50,
      width: 512,
      resizeMode: 0,
      exactSteps: false,
      noiseMultiplier: 1,
      extraNoise: 0,
      background: [255, 255, 255],
      correctsColors: false,
      conditioningMaskWeight: 1,
      imageCfgScale: null,
      mask: null,
    });
    expect(Buffer.from(job.initImages[0] as Uint8Array)).toEqual(BYTES);
  });

  it('echoes the 57 fields of A1111 in its order, without the pictures', async () => {
    const { answer } = await redraw({ init_images: [PNG], mask: PNG });
    const keys = Object.keys(answer.parameters);
    expect(keys).toHaveLength(57);
    const own = keys.slice(keys.indexOf('comments') + 1, keys.indexOf('script_name'));
    expect(own).toEqual([
      'init_images',
      'resize_mode',
      'image_cfg_scale',
      'mask',
      'mask_blur_x',
      'mask_blur_y',
      'mask_blur',
      'mask_round',
      'inpainting_fill',
      'inpaint_full_res',
      'inpaint_full_res_padding',
      'inpainting_mask_invert',
      'initial_noise_multiplier',
      'latent_mask',
      'force_task_id',
      'sampler_index',
      'include_init_images',
    ]);
    expect(answer.parameters).toMatchObject({ init_images: null, mask: null });
  });

  it('gets its pictures back with include_init_images', async () => {
    const { answer } = await redraw({ init_images: [PNG], mask: PNG, include_init_images: true });
    expect(answer.parameters).toMatchObject({ init_images: [PNG], mask: PNG });
  });

  it('reads data URLs and base64 with line breaks', async () => {
    const sent = [`data:image/png;base64,${PNG}`, PNG.replace(/(.{20})/g, '$1\n')];
    const { job } = await redraw({ init_images: sent, batch_size: 4 });
    expect(job.batchSize).toBe(2);
    expect(job.initImages.map((image) => Buffer.from(image))).toEqual([BYTES, BYTES]);
  });

  it('takes options of img2img, and its own numbers before them', async () => {
    const { job } = await redraw({
      init_images: [PNG],
      initial_noise_multiplier: 0.9,
      image_cfg_scale: 1.5,
      override_settings: {
        img2img_fix_steps: true,
        img2img_extra_noise: 0.1,
        initial_noise_multiplier: 1.1,
        img2img_background_color: '#0af',
        img2img_color_correction: true,
        inpainting_mask_weight: 0.5,
      },
    });
    expect(job).toMatchObject({
      exactSteps: true,
      extraNoise: 0.1,
      noiseMultiplier: 0.9,
      background: [0, 170, 255],
      correctsColors: true,
      conditioningMaskWeight: 0.5,
      imageCfgScale: 1.5,
    });
  });

  it('takes the upscaler for init images by its name', async () => {
    const override_settings = { upscaler_for_img2img: 'Nearest', ESRGAN_tile: 64 };
    const { job } = await redraw({ init_images: [PNG], override_settings });
    expect(job.upscaler).toEqual({
      ref: { name: 'Nearest', kind: 'nearest', path: null },
      tiles: { size: 64, overlap: 8 },
    });
    const unknown = { upscaler_for_img2img: 'nothing' };
    const { response } = await redraw({ init_images: [PNG], override_settings: unknown });
    expect(response.status).toBe(404);
    expect((await redraw({ init_images: [PNG] })).job.upscaler).toBeNull();
  });

  it('is a kind of the job API and has its own task ids', async () => {
    const response = await server.post(PATH, { init_images: [PNG] });
    expect(response.headers.get('x-task-id')).toMatch(/^task\(img2img-[A-Z0-9]{7}\)$/);
  });
});

describe('a mask', () => {
  it('has the defaults of A1111', async () => {
    const { job } = await redraw({ init_images: [PNG], mask: PNG });
    expect(job.mask).toEqual({
      image: expect.anything(),
      latentImage: null,
      inverts: false,
      rounds: true,
      blurX: 4,
      blurY: 4,
      fill: 'fill',
      onlyMasked: true,
      padding: 0,
      overlays: true,
      returnsMask: false,
      returnsComposite: false,
      soft: null,
    });
  });

  it('takes what front-ends send: booleans for integers, one blur for both', async () => {
    const { job } = await redraw({
      init_images: [PNG],
      mask: `data:image/png;base64,${PNG}`,
      inpainting_mask_invert: true,
      mask_blur: 8,
      mask_blur_x: 1,
      inpainting_fill: 2,
      inpaint_full_res: 0,
      inpaint_full_res_padding: '32',
      override_settings: { return_mask: true, overlay_inpaint: false },
    });
    expect(job.mask).toMatchObject({
      inverts: true,
      blurX: 8,
      blurY: 8,
      fill: 'latent noise',
      onlyMasked: false,
      padding: 32,
      overlays: false,
      returnsMask: true,
    });
  });

  it('is none when it is an empty text', async () => {
    const { job } = await redraw({ init_images: [PNG], mask: '' });
    expect(job.mask).toBeNull();
  });
});

describe('a refusal', () => {
  it.each([{}, { init_images: null }, { init_images: [] }])(
    'without a picture: %j',
    async (body) => {
      const { response, answer } = await redraw(body);
      expect(response.status).toBe(404);
      expect(answer.detail).toBe('Init image not found');
    },
  );

  it.each([
    ['no base64', { init_images: ['<svg/>'] }, /init_images/],
    ['an empty picture', { init_images: [''] }, /init_images/],
    ['one bad of two', { init_images: [PNG, '%%%'], batch_size: 2 }, /init_images\[1\]/],
    ['a bad mask', { init_images: [PNG], mask: '%%%' }, /mask/],
    ['a file address', { init_images: ['file:///etc/passwd'] }, /init_images/],
    ['more pictures than a batch', { init_images: [PNG, PNG] }, /bad number of images passed: 2/],
    ['a bad latent mask', { init_images: [PNG], mask: PNG, latent_mask: '%%%' }, /latent_mask/],
    ['too strong', { init_images: [PNG], denoising_strength: 1.5 }, /denoising_strength/],
    ['an unknown resize mode', { init_images: [PNG], resize_mode: 4 }, /resize_mode/],
    [
      'too large a batch',
      { init_images: [PNG], width: 4096, height: 4096, batch_size: 2 },
      /pixels/,
    ],
    ['an address when addresses are off', { init_images: ['http://x.test/a.png'] }, /not allowed/],
  ])('of %s is a 4xx that says what is wrong', async (_, body, sentence) => {
    const { response, answer, job } = await redraw(body);
    expect(response.status).toBe(422);
    expect(answer.message).toMatch(sentence);
    expect(job).toBeUndefined();
  });

  it('of a denoising strength that is null takes the default', async () => {
    const { job } = await redraw({ init_images: [PNG], denoising_strength: null });
    expect(job.denoisingStrength).toBe(0.75);
  });
});

describe('an address, when addresses are on', () => {
  let open: TestServer;

  beforeAll(async () => {
    open = await startTestServer({ flags: ['--api-enable-requests'] });
  });
  afterAll(() => open.close());

  it.each([
    'http://127.0.0.1/a.png',
    'http://localhost/a.png',
    'http://[::1]/a.png',
    'http://[::ffff:10.0.0.1]/a.png',
    'http://192.168.1.1/a.png',
    'http://169.254.169.254/latest/meta-data',
    'http://2130706433/a.png',
    'http://0x7f.1/a.png',
  ])('is never a local one: %s', async (address) => {
    const response = await open.post(PATH, { init_images: [address] });
    expect(response.status).toBe(422);
    expect(((await response.json()) as Answer).message).toBe(
      'Request to local resource not allowed',
    );
  });

  it('says so in the options', async () => {
    const options = await (await open.get('/sdapi/v1/options')).json();
    expect(options).toMatchObject({ api_enable_requests: true, api_forbid_local_requests: true });
  });
});
