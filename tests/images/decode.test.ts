import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { DECODE_LIMITS, decodeImage } from '../../images/decode.ts';
import { ImageError } from '../../images/errors.ts';
import { PNG_SIGNATURE, writeChunk } from '../../images/png-chunks.ts';
import { EXPECTED, readFixture } from './fixture.ts';

/** A PNG that declares any size and holds little. */
function declaredPng(width: number, height: number, bitDepth = 1, colorType = 0, interlace = 0) {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bitDepth, colorType, 0, 0, interlace], 8);
  return Buffer.concat([
    PNG_SIGNATURE,
    writeChunk('IHDR', header),
    writeChunk('IDAT', deflateSync(Buffer.alloc(1000))),
    writeChunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A JPEG whose frame header declares 65500 x 65500. */
function declaredJpeg() {
  const file = readFixture('exif-be.jpeg');
  const frame = file.indexOf(Buffer.from([0xff, 0xc0]));
  file.writeUInt16BE(65500, frame + 5);
  file.writeUInt16BE(65500, frame + 7);
  return file;
}

/** A GIF whose screen and frame are 65535 x 65535. */
function declaredGif() {
  const file = readFixture('two-frames.gif');
  const frame = file.indexOf(0x2c, 13);
  for (const at of [6, 8, frame + 5, frame + 7]) file.writeUInt16LE(65535, at);
  return file;
}

/** A WebP whose canvas is 16384 x 16384. */
function declaredWebp() {
  const file = readFixture('exif-be.webp');
  const canvas = file.indexOf('VP8X') + 12;
  file.writeUIntLE(16383, canvas, 3);
  file.writeUIntLE(16383, canvas + 3, 3);
  return file;
}

// Kept for the whole run: freed, it would hide what a decoder takes.
const ZEROS = Buffer.alloc(256 * 1024 * 1024);
const DEFLATED_ZEROS = deflateSync(ZEROS);

/** A PNG with a compressed chunk that inflates to 256 MiB. */
function inflatingPng(type: string, head: string) {
  const file = readFixture('rgb.png');
  const chunk = writeChunk(type, Buffer.concat([Buffer.from(head, 'latin1'), DEFLATED_ZEROS]));
  return Buffer.concat([file.subarray(0, 33), chunk, file.subarray(33)]);
}

describe('pixels', () => {
  it.each(Object.entries(EXPECTED.pixels))('of %s are those of Pillow', async (name, pixels) => {
    const { width, height, channels, data } = await decodeImage(readFixture(name));
    expect(width * height * channels).toBe(pixels.length);
    expect([...data]).toEqual(pixels);
  });

  it('of a CMYK picture become sRGB', async () => {
    const { channels, data } = await decodeImage(readFixture('cmyk-red.jpeg'));
    expect(channels).toBe(3);
    const [r = 0, g = 255, b = 255] = data;
    expect(r).toBeGreaterThan(200);
    expect(Math.max(g, b)).toBeLessThan(60);
  });

  it('are turned as EXIF says', async () => {
    const turned = await decodeImage(readFixture('orientation-6.jpeg'));
    expect([turned.width, turned.height]).toEqual([12, 16]);
    const stored = await sharp(readFixture('orientation-6.jpeg')).raw().toBuffer();
    // Orientation 6: the first stored row is the right column.
    expect(turned.data.slice(11 * 3, 12 * 3)).toEqual(new Uint8Array(stored.subarray(0, 3)));
  });
});

describe('limits', () => {
  it('accept 4096 x 4096 and refuse a row more', async () => {
    const line = Buffer.alloc((4096 / 8 + 1) * 4097, 0xff);
    for (let y = 0; y < 4097; y++) line[y * (4096 / 8 + 1)] = 0;
    const make = (height: number) => {
      const file = declaredPng(4096, height);
      const body = writeChunk('IDAT', deflateSync(line.subarray(0, height * (4096 / 8 + 1))));
      return Buffer.concat([file.subarray(0, 33), body, writeChunk('IEND', Buffer.alloc(0))]);
    };
    expect((await decodeImage(make(4096))).data.length).toBe(4096 * 4096 * 3);
    await expect(decodeImage(make(4097))).rejects.toMatchObject({ code: 'IMAGE_TOO_LARGE' });
  });

  it('may be stricter', async () => {
    const limits = { ...DECODE_LIMITS, maxPixels: 19 };
    await expect(decodeImage(readFixture('rgb.png'), limits)).rejects.toThrow(
      'Expected a picture of at most 19 pixels but received a larger one.',
    );
  });

  it.each([
    ['1-bit PNG', declaredPng(65535, 65535)],
    ['16-bit PNG', declaredPng(16384, 16384, 16, 6)],
    ['interlaced PNG', declaredPng(30000, 30000, 8, 2, 1)],
    ['PNG of the largest size', declaredPng(0x7fffffff, 0x7fffffff)],
    ['JPEG', declaredJpeg()],
    ['GIF', declaredGif()],
    ['WebP', declaredWebp()],
  ])('refuse a %s by its header in under 500 ms', async (_, file) => {
    const start = performance.now();
    await expect(decodeImage(file)).rejects.toBeInstanceOf(ImageError);
    expect(performance.now() - start).toBeLessThan(500);
  });
});

describe('metadata that inflates', () => {
  it.each([
    ['iCCP', 'icc\0\0'],
    ['zTXt', 'k\0\0'],
    ['iTXt', 'k\0\x01\0\0\0'],
  ])('%s to 256 MiB costs neither time nor memory', async (type, head) => {
    const file = inflatingPng(type, head);
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const outcome = await decodeImage(file).catch((error: unknown) => error);
    expect(performance.now() - start).toBeLessThan(500);
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * 1024 * 1024);
    expect(ZEROS.length).toBe(256 * 1024 * 1024);
    // libpng drops metadata it finds too large; refusing the file is as good.
    if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ImageError);
  });
});

describe('formats nobody asked for', () => {
  const tiff = Buffer.from('49492a0008000000', 'hex');
  it.each([
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    [
      'SVG behind an XML head',
      Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
    ],
    ['PDF', Buffer.from('%PDF-1.7\n1 0 obj\n<<>>\nendobj\n')],
    ['TIFF', Buffer.concat([tiff, Buffer.alloc(64)])],
    ['HEIF', Buffer.from('0000001866747970686569630000000068656963', 'hex')],
    ['AVIF', Buffer.from('0000001c667479706176696600000000617669666d696631', 'hex')],
    ['JPEG XL', Buffer.from('0000000c4a584c200d0a870a', 'hex')],
    ['PPM', Buffer.from('P6 1 1 255\nabc')],
    ['BMP', Buffer.from('424d3a0000000000000036000000', 'hex')],
    ['text', Buffer.from('a cat')],
    ['nothing', Buffer.alloc(0)],
  ])('%s is refused', async (_, bytes) => {
    await expect(decodeImage(bytes)).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
  });

  it('a TIFF that libvips itself wrote is refused', async () => {
    const file = await sharp({ create: { width: 4, height: 4, channels: 3, background: 'red' } })
      .tiff()
      .toBuffer();
    await expect(decodeImage(file)).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
  });
});

describe('malformed', () => {
  it.each(['rgb.png', 'exif-be.jpeg', 'exif-be.webp', 'two-frames.gif'])(
    '%s cut in half is refused',
    async (name) => {
      const file = readFixture(name);
      await expect(decodeImage(file)).resolves.toBeDefined();
      const half = file.subarray(0, Math.floor(file.length / 2));
      await expect(decodeImage(half)).rejects.toBeInstanceOf(ImageError);
    },
  );

  /** mulberry32: a fixed stream of numbers in 0 … 1. */
  function random(seed: number): () => number {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  it('2,000 mutated pictures decode or are refused with an ImageError', async () => {
    const names = [
      'text-utf8.png',
      'palette-alpha.png',
      'exif-be.jpeg',
      'exif-le.webp',
      'two-frames.gif',
    ];
    const files = names.map(readFixture);
    const draw = random(1);
    const outcomes = { decoded: 0, refused: 0 };
    for (let i = 0; i < 2000; i++) {
      const file = Buffer.from(files[i % files.length] ?? []);
      const edits = 1 + Math.floor(draw() * 4);
      for (let e = 0; e < edits; e++)
        file[Math.floor(draw() * file.length)] = Math.floor(draw() * 256);
      const bytes = draw() < 0.2 ? file.subarray(0, Math.floor(draw() * file.length)) : file;
      try {
        await decodeImage(bytes);
        outcomes.decoded++;
      } catch (error) {
        expect(error).toBeInstanceOf(ImageError);
        outcomes.refused++;
      }
    }
    expect(outcomes.decoded + outcomes.refused).toBe(2000);
    expect(Math.min(outcomes.decoded, outcomes.refused)).toBeGreaterThan(100);
  });
});
