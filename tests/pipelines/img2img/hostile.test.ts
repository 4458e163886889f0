/** Pictures that nobody means well with, over HTTP and through what the engine does first. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeImage } from '../../../images/decode.ts';
import { preparePictures } from '../../../pipelines/img2img/prepare-pictures.ts';
import type { Img2ImgJob } from '../../../pipelines/job.ts';
import { addLora, startTestServer, type TestServer } from '../../http/test-server.ts';
import { readFixture } from '../../images/fixture.ts';

let server: TestServer;
/** Memory that refusing one picture may take, with what the tests themselves leave behind. */
const MAX_GROWTH = 200 * 1024 * 1024;

/** Counts who asks it for anything. */
let outside: Server;
let visits = 0;

beforeAll(async () => {
  server = await startTestServer();
  addLora(server, 'spo');
  await server.post('/sdapi/v1/refresh-loras');
  server.engine.enlarge = async ({ pictures }) => {
    for (const picture of pictures) await decodeImage(picture);
    return [...pictures];
  };
  server.engine.work = async (job) => {
    await preparePictures(job as Img2ImgJob);
    return {};
  };
  outside = createServer((_req, res) => {
    visits += 1;
    res.end();
  });
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await server.close();
  outside.close();
});

const address = () => `http://127.0.0.1:${(outside.address() as AddressInfo).port}/a.png`;

async function redraw(pictures: readonly Buffer[], changes: Record<string, unknown> = {}) {
  const response = await server.post('/sdapi/v1/img2img', {
    init_images: pictures.map((picture) => picture.toString('base64')),
    batch_size: pictures.length,
    width: 64,
    height: 64,
    ...changes,
  });
  const { message = '', code } = (await response.json()) as { message?: string; code?: string };
  return { status: response.status, message, code };
}

/** A PNG chunk. */
function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

/** A grey PNG that says it has these sides, with whatever data. */
function makePng(width: number, height: number, data: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', data),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A black PNG of 4096 x 4096 in 16 kB. */
const bomb = () => makePng(4096, 4096, deflateSync(Buffer.alloc(4097 * 4096), { level: 9 }));

describe('a picture that is refused', () => {
  const cases: [string, () => Promise<Buffer> | Buffer, string][] = [
    [
      '20,000 x 20,000 pixels by its header',
      () => makePng(20_000, 20_000, Buffer.alloc(1000)),
      'IMAGE_TOO_LARGE',
    ],
    ['2^31 pixels wide', () => makePng(2 ** 31 - 1, 1, Buffer.alloc(10)), 'CORRUPT_IMAGE'],
    [
      'a PNG with too little data',
      () => makePng(64, 64, deflateSync(Buffer.alloc(100))),
      'CORRUPT_IMAGE',
    ],
    [
      'a truncated JPEG',
      async () => {
        const whole = await sharp({
          create: {
            width: 200,
            height: 200,
            channels: 3,
            background: 'red',
            noise: { type: 'gaussian', mean: 99, sigma: 30 },
          },
        })
          .jpeg()
          .toBuffer();
        return whole.subarray(0, whole.length / 2);
      },
      'CORRUPT_IMAGE',
    ],
    [
      'an SVG that names an address',
      () =>
        Buffer.from(
          `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="${address()}" width="9" height="9"/></svg>`,
        ),
      'UNSUPPORTED_FORMAT',
    ],
    [
      'an SVG that names a file',
      () =>
        Buffer.from(
          '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg"><text>&b;</text></svg>',
        ),
      'UNSUPPORTED_FORMAT',
    ],
    ['a PDF', () => Buffer.from('%PDF-1.7\n1 0 obj\n<<>>\nendobj\n'), 'UNSUPPORTED_FORMAT'],
    ['a TIFF', () => Buffer.from('II*\0\x08\0\0\0\0\0\0\0', 'latin1'), 'UNSUPPORTED_FORMAT'],
    ['text', () => Buffer.from('hello'), 'UNSUPPORTED_FORMAT'],
  ];

  it.each(cases)('%s', async (_, make, code) => {
    const picture = await make();
    const before = process.memoryUsage().rss;
    expect(await redraw([picture])).toMatchObject({ status: 422, code });
    const good = readFixture('rgb.png');
    const mask = picture.toString('base64');
    expect(await redraw([good], { mask })).toMatchObject({ status: 422, code });
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH);
    expect(visits).toBe(0);
  });

  it.each(cases)('%s, at every other door', async (_, make) => {
    const picture = (await make()).toString('base64');
    const before = process.memoryUsage().rss;
    for (const [path, body] of [
      ['/sdapi/v1/sparkle', { image: picture }],
      ['/sdapi/v1/extra-single-image', { image: picture, upscaler_1: 'Lanczos' }],
      [
        '/sdapi/v1/extra-batch-images',
        { imageList: [{ data: picture, name: 'a' }], upscaler_1: 'Lanczos' },
      ],
      ['/sdapi/v1/interrogate', { image: picture }],
      ['/controlnet/detect', { controlnet_input_images: [picture] }],
    ] as const) {
      expect([path, (await server.post(path, body)).status]).toEqual([path, 422]);
    }
    // Texts are looked for in whatever it is: nothing is decoded.
    const read = await server.post('/sdapi/v1/png-info', { image: picture });
    expect([200, 422]).toContain(read.status);
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH);
    expect(visits).toBe(0);
  });

  it('bombs that together are more than a request may hold, without decoding them all', async () => {
    const before = process.memoryUsage().rss;
    const answer = await redraw(new Array<Buffer>(16).fill(bomb()));
    expect(answer).toMatchObject({ status: 422, code: 'IMAGE_TOO_LARGE' });
    // Seven of 48 MB are decoded before their sum is too much.
    expect(process.memoryUsage().rss - before).toBeLessThan(700 * 1024 * 1024);
  });

  it('a large one whose result would be as large, too often', async () => {
    const mask = readFixture('rgb.png').toString('base64');
    const changes = { mask, batch_size: 8 };
    expect(await redraw([bomb()], changes)).toMatchObject({ status: 422, code: 'IMAGE_TOO_LARGE' });
    expect(await redraw([bomb()], { ...changes, batch_size: 1 })).toMatchObject({ status: 200 });
  });

  it.each([
    ['a strip that would have to cover a square', 1, 32_768, 1],
    ['a longer one, however it is resized', 1, 32_769, 0],
    ['one row of 16 megapixels', 4096 * 4096, 1, 2],
  ])('%s', async (_, width, height, resize_mode) => {
    const strip = makePng(width, height, deflateSync(Buffer.alloc((width + 1) * height)));
    const changes = { resize_mode, width: 4096, height: 64 };
    expect(await redraw([strip], changes)).toMatchObject({ status: 422, code: 'IMAGE_TOO_LARGE' });
  });

  it('several of other sizes than the first where only a masked part is drawn', async () => {
    const mask = readFixture('rgb.png').toString('base64');
    const two = [readFixture('rgb.png'), makePng(9, 9, deflateSync(Buffer.alloc(90)))];
    expect(await redraw(two, { mask })).toMatchObject({ status: 422, code: 'SIZES_DIFFER' });
    expect(await redraw(two, { mask, inpaint_full_res: false })).toMatchObject({ status: 200 });
  });
});

describe('a picture that is taken', () => {
  const good = (name: string) => readFixture(name);

  it.each([
    [
      'a strip of 32,768 pixels',
      async () => makePng(2, 32_768, deflateSync(Buffer.alloc(3 * 32_768))),
    ],
    ['one pixel', async () => makePng(1, 1, deflateSync(Buffer.alloc(2)))],
    ['an animated GIF', async () => good('two-frames.gif')],
    [
      'an animated WebP',
      async () => {
        const frames = [0, 200].map((level) => ({
          create: {
            width: 32,
            height: 32,
            channels: 3 as const,
            background: { r: level, g: 0, b: 0 },
          },
        }));
        const files = await Promise.all(frames.map((frame) => sharp(frame).png().toBuffer()));
        return sharp(files, { join: { animated: true } })
          .webp({ lossless: true })
          .toBuffer();
      },
    ],
    ['CMYK', async () => good('cmyk-red.jpeg')],
    ['16 bits per channel', async () => good('grey16.png')],
    ['a palette with transparency', async () => good('palette-alpha.png')],
    ['one bit per pixel', async () => good('one-bit.png')],
    ['a picture that lies on its side', async () => good('orientation-6.jpeg')],
  ])('%s', async (_, make) => {
    const picture = await make();
    expect(await redraw([picture])).toMatchObject({ status: 200 });
    const mask = picture.toString('base64');
    expect(await redraw([good('rgb.png')], { mask })).toMatchObject({ status: 200 });
  });

  it('shows the background through its transparent parts', async () => {
    const clear = await sharp({
      create: { width: 64, height: 64, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
    })
      .png()
      .toBuffer();
    const seen: number[][] = [];
    server.engine.work = async (job) => {
      const { images } = await preparePictures(job as Img2ImgJob);
      seen.push([...(images[0]?.data.subarray(0, 3) ?? [])]);
      return {};
    };
    const override_settings = { img2img_background_color: '#ff8000' };
    await redraw([clear], { override_settings });
    expect(seen).toEqual([[255, 128, 0]]);
  });
});
