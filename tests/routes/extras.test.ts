import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeImage } from '../../images/encode.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { upscalerFile } from '../networks/upscaler/fixture.ts';

let server: TestServer;
let image: string;

async function draw(width: number, height: number): Promise<string> {
  const rgb = new Uint8Array(width * height * 3);
  const png = await encodeImage({ width, height, rgb }, { format: 'png', quality: 80 }, null);
  return png.toString('base64');
}

beforeAll(async () => {
  server = await startTestServer();
  image = await draw(40, 30);
  const models = path.join(server.folder, 'models');
  for (const folder of ['ESRGAN', 'RealESRGAN']) mkdirSync(path.join(models, folder));
  copyFileSync(upscalerFile('old-x2-plus'), path.join(models, 'ESRGAN', 'b.safetensors'));
  copyFileSync(upscalerFile('x4plus'), path.join(models, 'ESRGAN', 'A.safetensors'));
  writeFileSync(path.join(models, 'ESRGAN', '4x-UltraSharp.pth'), 'pickle');
  writeFileSync(path.join(models, 'ESRGAN', 'broken.safetensors'), 'x');
  const general = path.join(models, 'RealESRGAN', 'RealESRGAN_x4plus.safetensors');
  copyFileSync(upscalerFile('compact-x4'), general);
  await server.context.upscalers.refresh();
});
afterAll(() => server.close());

async function single(fields: Record<string, unknown>) {
  const response = await server.post('/sdapi/v1/extra-single-image', { image, ...fields });
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, body, job: server.engine.upscales.at(-1) };
}

describe('upscalers', () => {
  it('are the files that can be run, with their factors, under the names of A1111', async () => {
    const rows = (await (await server.get('/sdapi/v1/upscalers')).json()) as object[];
    expect(rows.slice(3)).toMatchObject([
      { name: 'A', model_name: 'ESRGAN_4x', scale: 4, model_url: null },
      { name: 'b', model_name: 'ESRGAN_4x', scale: 2 },
      { name: 'R-ESRGAN 4x+', model_name: null, scale: 4 },
    ]);
    const real = await (await server.get('/sdapi/v1/realesrgan-models')).json();
    expect(real).toMatchObject([{ name: 'R-ESRGAN 4x+', scale: 4 }]);
  });
});

describe('extra-single-image', () => {
  it('hands over what A1111 would do by default: nothing', async () => {
    const { status, body, job } = await single({});
    expect(status).toBe(200);
    expect(body).toEqual({
      html_info: '<p></p>',
      image: Buffer.from('picture 0').toString('base64'),
    });
    expect(job).toMatchObject({
      first: null,
      second: null,
      target: { factor: 2 },
      postprocessing: '',
    });
  });

  it('finds upscalers by name or file name', async () => {
    const { body, job } = await single({ upscaler_1: 'RealESRGAN_x4plus', upscaling_resize: 2 });
    expect(body.html_info).toBe(
      '<p>Postprocess upscale by: 2.0, Postprocess upscaler: R-ESRGAN 4x+</p>',
    );
    expect(job).toMatchObject({
      first: { name: 'R-ESRGAN 4x+', kind: 'model' },
      tiles: { size: 192, overlap: 8 },
    });
  });

  it('scales to a size, mixes two, and says so', async () => {
    const { body, job } = await single({
      resize_mode: 1,
      upscaling_resize_w: 100,
      upscaling_resize_h: 90,
      upscaler_1: 'Lanczos',
      upscaler_2: 'A',
      extras_upscaler_2_visibility: 0.5,
    });
    expect(job).toMatchObject({
      target: { width: 100, height: 90, crops: true },
      second: { upscaler: { name: 'A' }, visibility: 0.5 },
    });
    expect(body.html_info).toBe(
      '<p>Postprocess upscale to: 100x90, Postprocess crop to: 100x90, ' +
        'Postprocess upscaler: Lanczos, Postprocess upscaler 2: A</p>',
    );
  });

  it('prints a factor that was not sent as a whole number, as A1111 does', async () => {
    const { body } = await single({ upscaler_1: 'Nearest', extras_upscaler_2_visibility: 0 });
    expect(body.html_info).toBe('<p>Postprocess upscale by: 2, Postprocess upscaler: Nearest</p>');
  });

  it.each<[Record<string, unknown>, number, string, RegExp]>([
    [{ upscaler_1: 'nope' }, 404, 'UPSCALER_NOT_FOUND', /^could not find upscaler named nope$/],
    [{ upscaler_1: '4x-UltraSharp' }, 404, 'UPSCALER_NOT_FOUND', /pickle.*\.safetensors/],
    [{ upscaler_1: 'broken' }, 404, 'UPSCALER_NOT_FOUND', /broken\.safetensors/],
    [{ upscaler_1: 'A', upscaler_2: 'nope' }, 404, 'UPSCALER_NOT_FOUND', /nope/],
    [
      { gfpgan_visibility: 0.5 },
      422,
      'UNSUPPORTED_FEATURE',
      /^gfpgan_visibility: there is no face/,
    ],
    [{ codeformer_visibility: 1 }, 422, 'UNSUPPORTED_FEATURE', /^codeformer_visibility/],
    [{ image: '' }, 422, 'INVALID_BASE64', /for image/],
    [
      { upscaler_1: 'Lanczos', upscaling_resize: 64, image: 'BIG' },
      422,
      'LIMIT_EXCEEDED',
      /pixels/,
    ],
    [{ upscaler_1: 'A', upscaling_resize: 2, image: 'WIDE' }, 422, 'LIMIT_EXCEEDED', /model/],
  ])('%j is refused', async (fields, status, code, sentence) => {
    const sizes: Record<string, [number, number]> = { BIG: [512, 512], WIDE: [4096, 2200] };
    const size = sizes[String(fields.image)];
    const sent = size ? { ...fields, image: await draw(...size) } : fields;
    const before = server.engine.upscales.length;
    const answer = await single(sent);
    expect(answer).toMatchObject({ status, body: { code } });
    expect(answer.body.detail).toMatch(sentence);
    expect(server.engine.upscales).toHaveLength(before);
  });
});

describe('extra-batch-images', () => {
  it('enlarges all pictures alike', async () => {
    const imageList = [
      { data: image, name: 'a.png' },
      { data: `data:image/png;base64,${image}`, name: 'b.png' },
    ];
    const body = { imageList, upscaler_1: 'Lanczos', upscaling_resize: 4 };
    const response = await server.post('/sdapi/v1/extra-batch-images', body);
    expect(await response.json()).toEqual({
      html_info: '<p>Postprocess upscale by: 4.0, Postprocess upscaler: Lanczos</p>',
      images: ['picture 0', 'picture 1'].map((text) => Buffer.from(text).toString('base64')),
    });
  });

  it('names the picture that cannot be read, and needs a list', async () => {
    const imageList = [
      { data: image, name: 'a' },
      { data: 'x!', name: 'b' },
    ];
    const bad = await server.post('/sdapi/v1/extra-batch-images', { imageList });
    expect(bad.status).toBe(422);
    expect(await bad.text()).toContain('imageList[1].data');
    expect((await server.post('/sdapi/v1/extra-batch-images', {})).status).toBe(422);
  });
});
