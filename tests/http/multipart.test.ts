import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Img2ImgJob } from '../../pipelines/job.ts';
import { MAX_IMAGE_BODY_BYTES } from '../../server/limits.ts';
import { readFixture } from '../images/fixture.ts';
import { startTestServer, type TestServer } from './test-server.ts';

const PATH = '/sdapi/v1/img2img';
const PNG = new Uint8Array(readFixture('rgb.png'));

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.engine.jobs.length = 0;
  server.engine.work = async () => ({});
});

type Part = readonly [name: string, value: string | Uint8Array<ArrayBuffer>];

async function send(parts: readonly Part[], headers: Record<string, string> = {}) {
  const form = new FormData();
  for (const [name, value] of parts) {
    if (typeof value === 'string') form.append(name, value);
    else form.append(name, new Blob([value]), `${name}.png`);
  }
  const response = await fetch(server.url + PATH, { method: 'POST', body: form, headers });
  return { response, job: server.engine.jobs.at(-1) as Img2ImgJob };
}

describe('a form', () => {
  it('is the request that its fields would be in JSON', async () => {
    const { response, job } = await send([
      ['init_images', PNG],
      ['init_images', PNG],
      ['mask', PNG],
      ['prompt', 'a "red" boat'],
      ['steps', '18'],
      ['batch_size', '2'],
      ['denoising_strength', '0.22'],
      ['inpaint_full_res', 'false'],
      ['override_settings', '{"img2img_fix_steps": true}'],
    ]);
    expect(response.status).toBe(200);
    expect(job).toMatchObject({
      prompt: 'a "red" boat',
      steps: 18,
      batchSize: 2,
      denoisingStrength: 0.22,
      exactSteps: true,
      mask: { onlyMasked: false },
    });
    expect(job.initImages.map((image) => Buffer.from(image))).toEqual([
      Buffer.from(PNG),
      Buffer.from(PNG),
    ]);
    const { images } = (await response.json()) as { images: string[] };
    expect(images).toHaveLength(2);
  });

  it('may carry the fields as one JSON part; its own fields win', async () => {
    const { job } = await send([
      ['init_images', PNG],
      ['json', JSON.stringify({ steps: 7, seed: 5, prompt: 'x', __proto__: { seed: 9 } })],
      ['steps', '9'],
    ]);
    expect(job).toMatchObject({ steps: 9, seed: 5, prompt: 'x' });
  });

  it('may carry pictures as base64, too', async () => {
    const { job } = await send([['init_images', Buffer.from(PNG).toString('base64')]]);
    expect(Buffer.from(job.initImages[0] as Uint8Array)).toEqual(Buffer.from(PNG));
  });

  it.each([
    ['no picture', [['prompt', 'x']], 404],
    [
      'a part that is no JSON',
      [
        ['json', '{'],
        ['init_images', PNG],
      ],
      422,
    ],
    [
      'a part that is no object',
      [
        ['json', '[]'],
        ['init_images', PNG],
      ],
      400,
    ],
    [
      'a bad number',
      [
        ['steps', 'many'],
        ['init_images', PNG],
      ],
      422,
    ],
    ['too many files', Array.from({ length: 66 }, () => ['init_images', PNG]), 400],
    ['too many fields', Array.from({ length: 257 }, (_, i) => [`f${i}`, 'x']), 400],
  ] as [string, Part[], number][])('with %s is refused', async (_, parts, status) => {
    const { response } = await send(parts);
    expect(response.status).toBe(status);
  });

  it('is refused when it is no form, too long, or does not say how long it is', async () => {
    const type = { 'Content-Type': 'multipart/form-data; boundary=x' };
    const broken = await server.post(PATH, undefined, { body: 'hello', headers: type });
    expect(broken.status).toBe(400);
    const statuses: number[] = [];
    for (const headers of [
      { ...type, 'Content-Length': MAX_IMAGE_BODY_BYTES + 1 },
      { ...type, 'Transfer-Encoding': 'chunked' },
    ]) {
      statuses.push(
        await new Promise<number>((resolve, reject) => {
          const call = request(server.url + PATH, { method: 'POST', headers }, (response) => {
            resolve(response.statusCode ?? 0);
            call.destroy();
          });
          call.on('error', reject);
          call.flushHeaders();
        }),
      );
    }
    expect(statuses).toEqual([413, 411]);
  });

  it('is read by no other route', async () => {
    const form = new FormData();
    form.append('image', new Blob([PNG]), 'a.png');
    const url = `${server.url}/sdapi/v1/png-info`;
    const response = await fetch(url, { method: 'POST', body: form });
    expect(response.status).toBe(415);
  });
});

describe('Accept', () => {
  const draw = (accept: string) =>
    server.post('/sdapi/v1/txt2img', undefined, {
      body: JSON.stringify({ prompt: 'x', send_images: false }),
      headers: { 'Content-Type': 'application/json', Accept: accept },
    });

  it.each([
    ['image/png', 'png'],
    ['image/webp', 'webp'],
    ['image/jpeg, application/json;q=0.5', 'jpeg'],
  ])('%s answers the bytes of the first picture', async (accept, format) => {
    const response = await draw(accept);
    expect(response.headers.get('content-type')).toBe(accept.split(',')[0]);
    expect(await response.text()).toBe('picture 0');
    expect(server.engine.jobs.at(-1)?.output.format).toBe(format);
  });

  it.each(['*/*', 'application/json', 'application/json, image/png', 'text/html'])(
    '%s answers JSON',
    async (accept) => {
      const response = await draw(accept);
      expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    },
  );

  it('skips a grid, and says so when there is no picture', async () => {
    server.engine.work = async () => ({
      images: [Buffer.from('grid'), Buffer.from('first')],
      info: { index_of_first_image: 1 },
    });
    expect(await (await draw('image/png')).text()).toBe('first');
    server.engine.work = async () => ({ images: [] });
    expect((await draw('image/png')).status).toBe(409);
  });
});
