import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeImage } from '../../images/encode.ts';
import { writePngText } from '../../images/png-text.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { readFixture } from '../images/fixture.ts';

const LINE = 'Steps: 20, Sampler: Euler a, Seed: 5, Size: 512x768';
const STYLES =
  'name,prompt,negative_prompt\nink,"ink drawing of {prompt}, fine",grey\nnoir,noir,\n';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ styles: STYLES });
});
afterAll(() => server.close());

interface PngInfo {
  info: string;
  items: Record<string, unknown>;
  parameters: Record<string, unknown>;
}

async function read(image: Buffer | string): Promise<PngInfo> {
  const text = typeof image === 'string' ? image : image.toString('base64');
  const response = await server.post('/sdapi/v1/png-info', { image: text });
  expect(response.status).toBe(200);
  return (await response.json()) as PngInfo;
}

async function draw(infotext: string): Promise<Buffer> {
  const image = { width: 2, height: 1, rgb: new Uint8Array(6) };
  return encodeImage(image, { format: 'png', quality: 80 }, infotext);
}

describe('png-info', () => {
  it('gives the text, the other texts, and the parameters with defaults as the web UI has them', async () => {
    const infotext = `a cat\nNegative prompt: blurry\n${LINE}`;
    const file = writePngText(await draw(infotext), [
      ['postprocessing', 'Postprocess upscaler: x'],
    ]);
    const answer = await read(file);
    expect(answer.info).toBe(infotext);
    expect(answer.items).toEqual({ postprocessing: 'Postprocess upscaler: x' });
    expect(answer.parameters).toEqual({
      Prompt: 'a cat',
      'Negative prompt': 'blurry',
      Steps: '20',
      Sampler: 'Euler a',
      Seed: '5',
      'Size-1': '512',
      'Size-2': '768',
      'Clip skip': '1',
      'Hires resize-1': 0,
      'Hires resize-2': 0,
      'Hires sampler': 'Use same sampler',
      'Hires schedule type': 'Use same scheduler',
      'Hires checkpoint': 'Use same checkpoint',
      'Hires prompt': '',
      'Hires negative prompt': '',
      'Mask mode': 'Inpaint masked',
      'Masked content': 'original',
      'Inpaint area': 'Whole picture',
      'Masked area padding': 32,
      RNG: 'GPU',
      'Schedule type': 'Automatic',
      'Schedule max sigma': 0,
      'Schedule min sigma': 0,
      'Schedule rho': 0,
      'VAE Encoder': 'Full',
      'VAE Decoder': 'Full',
      'FP8 weight': 'Disable',
      'Refiner switch by sampling steps': false,
    });
  });

  it('has defaults for a picture without a text', async () => {
    const answer = await read(await draw(''));
    expect(answer).toMatchObject({ info: '', parameters: { Prompt: '', 'Clip skip': '1' } });
  });

  it('reads JPEG and WebP, and data URLs', async () => {
    const file = readFixture('exif-be.webp').toString('base64');
    const { info } = await read(`data:image/webp;base64,${file}`);
    expect(info).not.toBe('');
    expect((await read(readFixture('exif-be.jpeg'))).info).toBe(info);
  });

  it('tells that a prompt weighs words, and takes known styles out of it', async () => {
    const text = `ink drawing of (a  cat), fine, noir\nNegative prompt: grey\n${LINE}`;
    const { parameters } = await read(await draw(text));
    expect(parameters).toMatchObject({
      Prompt: '(a cat)',
      'Negative prompt': '',
      'Styles array': ['ink', 'noir'],
      Emphasis: 'Original',
    });
    expect(parameters).not.toHaveProperty('Cache FP16 weight for LoRA');
  });

  it('leaves styles alone when the options say so', async () => {
    await server.context.options.set({ infotext_styles: 'Ignore' });
    const { parameters } = await read(await draw(`a cat, noir\n${LINE}`));
    expect(parameters.Prompt).toBe('a cat, noir');
    expect(parameters).not.toHaveProperty('Styles array');
    await server.context.options.set({ infotext_styles: 'Apply if any' });
  });
});

describe('what cannot be read', () => {
  it.each([
    ['', 'INVALID_BASE64'],
    ['not base64!', 'INVALID_BASE64'],
    [Buffer.from('Steps: 20').toString('base64'), 'UNSUPPORTED_FORMAT'],
    ['http://localhost/a.png', 'REQUESTS_NOT_ALLOWED'],
  ])('%j is %s', async (image, code) => {
    const response = await server.post('/sdapi/v1/png-info', { image });
    expect(response.status).toBe(422);
    const body = (await response.json()) as { code: string; detail: string };
    expect(body).toMatchObject({ code });
    expect(body.detail).toMatch(/^(Expected a|Requests not allowed)/);
  });

  it('a missing picture is a missing field', async () => {
    const response = await server.post('/sdapi/v1/png-info', {});
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({
      detail: [{ loc: ['body', 'image'], type: 'value_error.missing' }],
    });
  });
});
