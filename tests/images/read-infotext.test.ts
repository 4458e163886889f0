import { describe, expect, it } from 'vitest';
import { writePngText } from '../../images/png-text.ts';
import { readInfotext } from '../../images/read-infotext.ts';
import { EXPECTED, readFixture } from './fixture.ts';

describe('files that Pillow wrote', () => {
  it.each([
    ['exif-be.jpeg', EXPECTED.wide],
    ['exif-be.webp', EXPECTED.wide],
    ['exif-le.jpeg', EXPECTED.wide],
    ['exif-le.webp', EXPECTED.wide],
    ['exif-mixed.jpeg', EXPECTED.wide],
    ['exif-mixed.webp', EXPECTED.wide],
    ['exif-ascii.jpeg', 'a cat'],
    ['exif-ascii.webp', 'a cat'],
    ['text-latin1.png', EXPECTED.plain],
    ['text-after-idat.png', EXPECTED.plain],
    ['rgb.png', ''],
    ['two-frames.gif', ''],
  ])('%s', async (name, infotext) => {
    expect((await readInfotext(readFixture(name))).infotext).toBe(infotext);
  });
});

it('keeps `__proto__` as an ordinary keyword', async () => {
  const file = writePngText(readFixture('rgb.png'), [['__proto__', 'x']]);
  expect([...(await readInfotext(file)).items]).toEqual([['__proto__', 'x']]);
});

it('refuses what is no picture', async () => {
  await expect(readInfotext(Buffer.from('Steps: 20'))).rejects.toMatchObject({
    code: 'UNSUPPORTED_FORMAT',
  });
});
