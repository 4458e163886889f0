import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../images/decode.ts';
import { encodePreview } from '../../images/preview.ts';

const preview = { width: 2, height: 1, rgb: Uint8Array.from([255, 0, 0, 0, 0, 255]) };

describe('a preview', () => {
  it.each(['png', 'jpeg', 'webp'] as const)('is a %s of the latent size', async (format) => {
    const {
      width,
      height,
      format: found,
    } = await sharp(await encodePreview(preview, format)).metadata();
    expect([width, height, found]).toEqual([2, 1, format]);
  });

  it('can show each cell as a square', async () => {
    const { width, height, data } = await decodeImage(await encodePreview(preview, 'png', 2));
    expect([width, height]).toEqual([4, 2]);
    const row = [255, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255];
    expect([...data]).toEqual([...row, ...row]);
  });

  it('of a buffer that does not fit its sides is refused', async () => {
    await expect(encodePreview({ ...preview, width: 3 }, 'png')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });
});
