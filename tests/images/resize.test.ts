import { describe, expect, it } from 'vitest';
import type { Raster } from '../../images/raster.ts';
import { BICUBIC, LANCZOS, resample } from '../../images/resample.ts';
import { resizeRaster } from '../../images/resize.ts';
import { readFixture } from './fixture.ts';

interface Row {
  width: number;
  height: number;
  grey: string;
  bicubic: string;
  stretch: string;
  crop: string;
  fill: string;
}

const recorded: { width: number; height: number; rgb: string; grey: string; rows: Row[] } =
  JSON.parse(readFixture('resizes.json').toString());

function raster(width: number, height: number, channels: number, base64: string): Raster {
  return { width, height, channels, data: new Uint8Array(Buffer.from(base64, 'base64')) };
}

const source = raster(recorded.width, recorded.height, 3, recorded.rgb);
const grey = raster(recorded.width, recorded.height, 1, recorded.grey);

describe.each(recorded.rows)('$width x $height', (row) => {
  const { width, height } = row;

  it.each(['stretch', 'crop', 'fill'] as const)('%s is what Pillow makes', (mode) => {
    expect(resizeRaster(source, width, height, mode)).toEqual(raster(width, height, 3, row[mode]));
  });

  it('a mask and the bicubic filter are, too', () => {
    expect(resample(grey, width, height, LANCZOS)).toEqual(raster(width, height, 1, row.grey));
    expect(resample(source, width, height, BICUBIC)).toEqual(raster(width, height, 3, row.bicubic));
  });
});

describe('a result', () => {
  it('never shares memory with its source', () => {
    const before = source.data.slice();
    for (const mode of ['stretch', 'crop', 'fill'] as const) {
      resizeRaster(source, source.width, source.height, mode).data.fill(7);
    }
    expect(source.data).toEqual(before);
  });

  it('has no black line where a bar has an odd size', () => {
    const white = { width: 6, height: 6, channels: 1, data: new Uint8Array(36).fill(255) };
    const filled = resizeRaster(white, 6, 7, 'fill');
    expect([...new Set(filled.data)]).toEqual([255]);
  });

  it('survives an extreme aspect ratio', () => {
    const line = { width: 4096, height: 1, channels: 1, data: new Uint8Array(4096).fill(9) };
    expect([...new Set(resizeRaster(line, 64, 64, 'fill').data)]).toEqual([9]);
  });
});
