import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../images/decode.ts';
import { encodeImage } from '../../images/encode.ts';
import { MAX_JPEG_SEGMENT_BYTES } from '../../images/exif-container.ts';
import { readPngText } from '../../images/png-text.ts';
import { readInfotext } from '../../images/read-infotext.ts';
import { EXPECTED } from './fixture.ts';

/** Smooth enough for lossy formats to stay close. */
function gradient(width: number, height: number) {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      rgb.set(
        [(x * 255) / width, (y * 255) / height, ((x + y) * 120) / (width + height)],
        (y * width + x) * 3,
      );
    }
  }
  return { width, height, rgb };
}

const image = gradient(61, 43);
const FORMATS = ['png', 'jpeg', 'webp'] as const;

describe.each(FORMATS)('%s', (format) => {
  it.each([
    ['plain', EXPECTED.plain],
    ['wide', EXPECTED.wide],
  ])('carries the infotext (%s)', async (_, text) => {
    const file = await encodeImage(image, { format, quality: 90 }, text);
    expect((await readInfotext(file)).infotext).toBe(text);
    expect((await sharp(file).metadata()).format).toBe(format);
  });

  it('keeps the pixels', async () => {
    const file = await encodeImage(image, { format, quality: 95 }, EXPECTED.wide);
    const decoded = await decodeImage(file);
    expect([decoded.width, decoded.height, decoded.channels]).toEqual([61, 43, 3]);
    let worst = 0;
    decoded.data.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - (image.rgb[i] ?? 0)));
    });
    expect(worst).toBeLessThanOrEqual(format === 'png' ? 0 : 12);
  });

  it('writes no metadata for null', async () => {
    const file = await encodeImage(image, { format, quality: 90 }, null);
    expect((await readInfotext(file)).infotext).toBe('');
    expect(readPngText(file).size).toBe(0);
    expect((await sharp(file).metadata()).exif).toBeUndefined();
  });

  it('refuses a buffer that does not fit the sides', async () => {
    const short = { ...image, height: image.height + 1 };
    await expect(encodeImage(short, { format, quality: 90 }, null)).rejects.toThrow(
      'Expected 8052 bytes for the pixels of a 61x44 image but received 7869.',
    );
  });
});

describe('quality', () => {
  it.each(['jpeg', 'webp'] as const)('makes %s smaller when it is lower', async (format) => {
    const low = await encodeImage(image, { format, quality: 10 }, null);
    const high = await encodeImage(image, { format, quality: 95 }, null);
    expect(low.length).toBeLessThan(high.length);
  });
});

describe('texts beside the infotext', () => {
  it('follow it in a PNG', async () => {
    const file = await encodeImage(image, { format: 'png', quality: 0 }, 'a', [
      ['postprocessing', 'b'],
    ]);
    expect([...readPngText(file)]).toEqual([
      ['parameters', 'a'],
      ['postprocessing', 'b'],
    ]);
    const read = await readInfotext(file);
    expect(read.infotext).toBe('a');
    expect([...read.items]).toEqual([['postprocessing', 'b']]);
  });
});

describe('an infotext longer than a JPEG segment', () => {
  // 58 bytes of EXIF structure and character code around the UTF-16 text.
  const most = Math.floor((MAX_JPEG_SEGMENT_BYTES - 58) / 2);

  it('is written up to the last character that fits', async () => {
    const file = await encodeImage(image, { format: 'jpeg', quality: 90 }, 'x'.repeat(most));
    expect((await readInfotext(file)).infotext.length).toBe(most);
  });

  it('is left out beyond that, and the picture is kept', async () => {
    const file = await encodeImage(image, { format: 'jpeg', quality: 90 }, 'x'.repeat(most + 1));
    expect((await readInfotext(file)).infotext).toBe('');
    expect((await decodeImage(file)).width).toBe(61);
  });

  it('fits in a WebP', async () => {
    const text = 'x'.repeat(most + 1);
    const file = await encodeImage(image, { format: 'webp', quality: 90 }, text);
    expect((await readInfotext(file)).infotext).toBe(text);
  });
});
