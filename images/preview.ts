import { assertRgbImage, type RgbImage } from './rgb-image.ts';
import { sharp } from './sharp.ts';

/** A preview is looked at for a second and replaced: the fastest settings, never metadata. */
const PREVIEW_PNG = { compressionLevel: 1 } as const;
const PREVIEW_QUALITY = 80;

/**
 * Encodes a preview, one pixel per latent cell, or each cell as a square of `scale` pixels.
 *
 * @param preview  u8 RGB; not changed
 * @param scale    whole factor from 1; the web UI's own previews of this kind have 1
 * @throws ImageError `INVALID_ARGUMENT` when the pixel buffer does not fit its sides
 */
export async function encodePreview(
  preview: RgbImage,
  format: 'png' | 'jpeg' | 'webp',
  scale = 1,
): Promise<Buffer> {
  assertRgbImage(preview);
  const { width, height, rgb } = preview;
  const small = sharp(rgb, { raw: { width, height, channels: 3 } });
  const pixels =
    scale === 1 ? small : small.resize(width * scale, height * scale, { kernel: 'nearest' });
  switch (format) {
    case 'png':
      return pixels.png(PREVIEW_PNG).toBuffer();
    case 'jpeg':
      return pixels.jpeg({ quality: PREVIEW_QUALITY }).toBuffer();
    case 'webp':
      return pixels.webp({ quality: PREVIEW_QUALITY, effort: 0 }).toBuffer();
  }
}
