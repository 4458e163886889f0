import { describe, expect, it } from 'vitest';
import { growToAspect, maskBox } from '../../images/crop-region.ts';
import { blurMask } from '../../images/gaussian-blur.ts';
import { invertMask, maskFromImage, overlayMask, pasteUnmasked } from '../../images/mask.ts';
import { blankRaster, cropRaster, type Raster } from '../../images/raster.ts';
import { readFixture } from './fixture.ts';

/** One row of pixels. */
function row(channels: number, ...data: number[]): Raster {
  return { width: data.length / channels, height: 1, channels, data: Uint8Array.from(data) };
}

describe('a mask', () => {
  it('comes from alpha where a picture has any', () => {
    const image = row(4, 255, 255, 255, 0, 0, 0, 0, 128, 0, 0, 0, 129, 9, 9, 9, 255);
    expect([...maskFromImage(image, true).data]).toEqual([0, 0, 255, 255]);
    expect([...maskFromImage(image, false).data]).toEqual([0, 128, 129, 255]);
  });

  it('else from luminance, which is never rounded', () => {
    const image = row(3, 255, 0, 0, 0, 255, 0, 0, 0, 255, 128, 128, 128, 255, 255, 255);
    expect([...maskFromImage(image, true).data]).toEqual([76, 150, 29, 128, 255]);
  });

  it('needs three or four channels', () => {
    expect(() => maskFromImage(row(1, 5), true)).toThrow('Expected 3 or 4 channels for mask');
  });

  it('can be inverted and doubled', () => {
    const mask = row(1, 0, 100, 127, 128, 255);
    expect([...invertMask(mask).data]).toEqual([255, 155, 128, 127, 0]);
    expect([...overlayMask(mask).data]).toEqual([0, 200, 254, 255, 255]);
    expect([...mask.data]).toEqual([0, 100, 127, 128, 255]);
  });
});

describe('blur', () => {
  const recorded: {
    width: number;
    height: number;
    mask: string;
    rows: { x: number; y: number; data: string }[];
  } = JSON.parse(readFixture('blurs.json').toString());
  const { width, height } = recorded;
  const raster = (text: string): Raster => {
    return { width, height, channels: 1, data: new Uint8Array(Buffer.from(text, 'base64')) };
  };

  it.each(recorded.rows)('$x by $y is what OpenCV makes', ({ x, y, data }) => {
    expect(blurMask(raster(recorded.mask), x, y)).toEqual(raster(data));
  });

  it('0 is a copy', () => {
    const mask = raster(recorded.mask);
    const copy = blurMask(mask, 0, 0);
    expect(copy).toEqual(mask);
    expect(copy.data).not.toBe(mask.data);
  });

  it('a single column has nothing to mirror', () => {
    expect([...blurMask(row(1, 200), 4, 4).data]).toEqual([200]);
  });
});

describe('the box of a mask', () => {
  const mask = blankRaster(20, 10, 1);
  mask.data[3 * 20 + 5] = 1;
  mask.data[7 * 20 + 2] = 255;

  it('is around everything above zero', () => {
    expect(maskBox(mask, 0)).toEqual({ x1: 2, y1: 3, x2: 6, y2: 8 });
  });

  it('grows by the padding, inside the picture', () => {
    expect(maskBox(mask, 3)).toEqual({ x1: 0, y1: 0, x2: 9, y2: 10 });
  });

  it('is none for a black mask', () => {
    expect(maskBox(blankRaster(4, 4, 1), 9)).toBeNull();
  });

  // Recorded from the web UI's function: box, drawn size, result; the picture is 512 x 512.
  it.each([
    [
      [100, 100, 228, 132],
      [512, 512],
      [100, 52, 228, 180],
    ],
    [
      [0, 0, 10, 100],
      [512, 512],
      [0, 0, 100, 100],
    ],
    [
      [500, 10, 512, 200],
      [768, 512],
      [227, 10, 512, 200],
    ],
    [
      [100, 400, 200, 512],
      [512, 768],
      [100, 362, 200, 512],
    ],
  ] as const)('%j drawn at %j becomes %j', (box, [width, height], expected) => {
    const [x1, y1, x2, y2] = box;
    const grown = growToAspect({ x1, y1, x2, y2 }, { width, height }, { width: 512, height: 512 });
    expect(Object.values(grown)).toEqual([...expected]);
  });

  it('is cut where the picture is too small for the aspect ratio', () => {
    const box = { x1: 0, y1: 10, x2: 512, y2: 20 };
    const picture = { width: 512, height: 64 };
    expect(growToAspect(box, { width: 512, height: 512 }, picture)).toEqual({
      x1: 0,
      y1: 0,
      x2: 512,
      y2: 64,
    });
  });

  it('can be cut out', () => {
    expect(cropRaster(row(1, 1, 2, 3, 4), { x1: 1, y1: 0, x2: 3, y2: 1 })).toEqual(row(1, 2, 3));
  });
});

it('what is not masked stays the original', () => {
  const result = row(3, 200, 200, 200, 200, 200, 200, 200, 200, 200);
  const original = row(3, 0, 10, 20, 0, 10, 20, 0, 10, 20);
  expect([...pasteUnmasked(result, original, row(1, 255, 0, 51)).data]).toEqual([
    200, 200, 200, 0, 10, 20, 40, 48, 56,
  ]);
});
