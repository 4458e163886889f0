/**
 * The cases of A1111's own API tests, in our words. Theirs look at the status only; here the
 * pictures are decoded and compared, too.
 */
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServerProcess } from '../process/server-process.ts';
import { startDemoServer } from './demo-server.ts';

const TXT2IMG = {
  ...{ batch_size: 1, cfg_scale: 7, denoising_strength: 0, enable_hr: false, eta: 0 },
  ...{ firstphase_height: 0, firstphase_width: 0, height: 64, n_iter: 1, negative_prompt: '' },
  ...{ prompt: 'a red boat', restore_faces: false, s_churn: 0, s_noise: 1, s_tmax: 0, s_tmin: 0 },
  ...{ sampler_index: 'Euler a', seed: -1, seed_resize_from_h: -1, seed_resize_from_w: -1 },
  ...{ steps: 3, styles: [], subseed: -1, subseed_strength: 0, tiling: false, width: 64 },
};
/** Draws so that two answers can be compared. */
const SEEDED = { ...TXT2IMG, seed: 11 };

let server: ServerProcess;
let picture = '';
let mask = '';

beforeAll(async () => {
  server = await startDemoServer(['--skip-load-model-at-start']);
  const side = { width: 64, height: 64 };
  const rgba = { ...side, channels: 4 as const, background: { r: 200, g: 80, b: 20, alpha: 1 } };
  picture = await toUrl(sharp({ create: rgba }));
  const white = { width: 32, height: 64, channels: 3 as const, background: 'white' };
  mask = await toUrl(
    sharp({ create: { ...side, channels: 3, background: 'black' } }).composite([
      { input: { create: white }, left: 32, top: 0 },
    ]),
  );
}, 60_000);
afterAll(() => server.close());

async function toUrl(image: Sharp): Promise<string> {
  return `data:image/png;base64,${(await image.png().toBuffer()).toString('base64')}`;
}

/** Posts a body and returns the pictures, each decoded to RGB. */
async function draw(path: string, body: Record<string, unknown>) {
  const response = await server.post(`/sdapi/v1/${path}`, body);
  const answer = (await response.json()) as { images?: string[]; image?: string; info?: string };
  expect([response.status, answer]).toMatchObject([200, {}]);
  const images = answer.images ?? [answer.image ?? ''];
  return Promise.all(
    images.map(async (image) => {
      const bytes = Buffer.from(image, 'base64');
      const { format } = await sharp(bytes).metadata();
      const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({
        resolveWithObject: true,
      });
      const { channels } = await sharp(bytes).stats();
      const isFlat = channels.every(({ stdev }) => stdev < 1);
      return { size: `${format} ${info.width}x${info.height}`, data, isFlat };
    }),
  );
}

/** The mean difference of two pictures, 0-255. */
function difference(a: Buffer, b: Buffer): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / a.length;
}

describe('txt2img', () => {
  it('plain', async () => {
    const [one] = await draw('txt2img', TXT2IMG);
    expect(one).toMatchObject({ size: 'png 64x64', isFlat: false });
  });

  it.each<[string, Record<string, unknown>]>([
    ['with a negative prompt', { negative_prompt: 'example negative prompt' }],
    [
      'with weights, editing and alternation',
      {
        prompt: '((emphasis)), (emphasis1:1.1), [to:1], [from::2], [from:to:0.3], [alt|alt1]',
      },
    ],
    ['with the sampler PLMS', { sampler_index: 'PLMS' }],
    ['with the sampler DDIM', { sampler_index: 'DDIM' }],
    ['with the sampler UniPC', { sampler_index: 'UniPC' }],
    ['with tiling', { tiling: true }],
  ])('%s is another picture', async (_name, changes) => {
    const [plain] = await draw('txt2img', SEEDED);
    const [other] = await draw('txt2img', { ...SEEDED, ...changes });
    expect(other).toMatchObject({ size: 'png 64x64', isFlat: false });
    expect(difference(plain?.data ?? Buffer.of(), other?.data ?? Buffer.of(9))).toBeGreaterThan(
      0.5,
    );
  });

  it('not square', async () => {
    const [one] = await draw('txt2img', { ...TXT2IMG, height: 128 });
    expect(one).toMatchObject({ size: 'png 64x128', isFlat: false });
  });

  it('with the hires pass', async () => {
    const [one] = await draw('txt2img', { ...TXT2IMG, enable_hr: true });
    expect(one).toMatchObject({ size: 'png 128x128', isFlat: false });
  });

  it('with faces restored: the picture is the same, and info tells', async () => {
    const [plain] = await draw('txt2img', SEEDED);
    const [other] = await draw('txt2img', { ...SEEDED, restore_faces: true });
    expect(other?.data.equals(plain?.data ?? Buffer.of())).toBe(true);
    const response = await server.post('/sdapi/v1/txt2img', { ...SEEDED, restore_faces: true });
    const { info } = (await response.json()) as { info: string };
    expect(JSON.parse(info).comments).toEqual([expect.stringMatching(/^restore_faces: /)]);
  });

  it.each([{ n_iter: 2 }, { batch_size: 2 }])('with %j', async (changes) => {
    const pictures = await draw('txt2img', { ...SEEDED, ...changes });
    expect(pictures.map(({ size }) => size)).toEqual(['png 64x64', 'png 64x64']);
    const [first, second] = pictures.map(({ data }) => data) as [Buffer, Buffer];
    expect(difference(first, second)).toBeGreaterThan(0.5);
    // The first of them is what the seed alone draws.
    const [alone] = await draw('txt2img', SEEDED);
    expect(difference(first, alone?.data ?? Buffer.of(9))).toBeLessThan(1);
  });
});

describe('img2img', () => {
  const base = () => ({
    ...{ init_images: [picture], resize_mode: 0, denoising_strength: 0.75, mask: null },
    ...{ mask_blur: 4, inpainting_fill: 0, inpaint_full_res: false, inpaint_full_res_padding: 0 },
    ...{ inpainting_mask_invert: false, prompt: 'a red boat', styles: [], seed: 11, subseed: -1 },
    ...{ subseed_strength: 0, seed_resize_from_h: -1, seed_resize_from_w: -1, batch_size: 1 },
    ...{ n_iter: 1, steps: 3, cfg_scale: 7, width: 64, height: 64, restore_faces: false },
    ...{ tiling: false, negative_prompt: '', eta: 0, s_churn: 0, s_tmax: 0, s_tmin: 0, s_noise: 1 },
    ...{ override_settings: {}, sampler_index: 'Euler a', include_init_images: false },
  });
  /** Mean distance of the outermost columns from the picture that went in. */
  const edges = (data: Buffer) => {
    const column = (x: number) =>
      Array.from({ length: 64 }, (_, y) => {
        const at = (y * 64 + x) * 3;
        const [r = 0, g = 0, b = 0] = data.subarray(at, at + 3);
        return Math.abs(r - 200) + Math.abs(g - 80) + Math.abs(b - 20);
      }).reduce((sum, value) => sum + value, 0) / 64;
    return { left: column(2), right: column(61) };
  };

  it('plain', async () => {
    const [one] = await draw('img2img', base());
    expect(one).toMatchObject({ size: 'png 64x64', isFlat: false });
  });

  it('with a mask keeps what is black in it', async () => {
    const [one] = await draw('img2img', { ...base(), mask });
    const { left, right } = edges(one?.data ?? Buffer.of());
    expect(left).toBe(0);
    expect(right).toBeGreaterThan(10);
  });

  it('with the mask inverted, as a boolean, keeps what is white in it', async () => {
    const [one] = await draw('img2img', { ...base(), mask, inpainting_mask_invert: true });
    const { left, right } = edges(one?.data ?? Buffer.of());
    expect(left).toBeGreaterThan(10);
    expect(right).toBe(0);
  });

  it('with the script SD upscale', async () => {
    const [one] = await draw('img2img', {
      ...base(),
      script_name: 'sd upscale',
      script_args: ['', 8, 'Lanczos', 2],
    });
    expect(one).toMatchObject({ size: 'png 128x128', isFlat: false });
  });
});

describe('the rest of the API', () => {
  it('writes and reads an option', async () => {
    const read = async () =>
      (await (await server.get('/sdapi/v1/options')).json()) as { send_seed: boolean };
    const { send_seed: before } = await read();
    expect(typeof before).toBe('boolean');
    for (const value of [!before, before]) {
      const response = await server.post('/sdapi/v1/options', { send_seed: value });
      expect([response.status, await response.json()]).toEqual([200, null]);
      expect((await read()).send_seed).toBe(value);
    }
  });

  it.each<[string, string | null]>([
    ['cmd-flags', null],
    ['samplers', 'Euler a'],
    ['upscalers', 'Lanczos'],
    ['sd-models', 'sdserve-demo'],
    ['hypernetworks', null],
    ['face-restorers', null],
    ['realesrgan-models', null],
    ['prompt-styles', null],
    ['embeddings', null],
  ])('lists %s', async (path, member) => {
    const response = await server.get(`/sdapi/v1/${path}`);
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(typeof JSON.parse(text)).toBe('object');
    if (member !== null) expect(text).toContain(member);
  });
});

describe('extra-single-image', () => {
  const full = () => ({
    ...{ resize_mode: 0, show_extras_results: true, gfpgan_visibility: 0 },
    ...{ codeformer_visibility: 0, codeformer_weight: 0, upscaling_resize: 2 },
    ...{ upscaling_resize_w: 128, upscaling_resize_h: 128, upscaling_crop: true },
    ...{ upscaler_1: 'Lanczos', upscaler_2: 'None', extras_upscaler_2_visibility: 0 },
    image: picture,
  });

  it('enlarges with every parameter given', async () => {
    const [one] = await draw('extra-single-image', full());
    expect(one?.size).toBe('png 128x128');
    expect([...(one?.data.subarray(0, 3) ?? [])]).toEqual([200, 80, 20]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['of a picture alone', {}],
    ['with an unknown field', { model: 'clip' }],
  ])('%s gives the picture back', async (_name, changes) => {
    const [one] = await draw('extra-single-image', { image: picture, ...changes });
    expect(one?.size).toBe('png 64x64');
    expect([...(one?.data.subarray(0, 3) ?? [])]).toEqual([200, 80, 20]);
  });
});
