import { ImageError } from './errors.ts';
import { sharp } from './sharp.ts';

/** Decoded pixels: u8 `[height, width, channels]`, sRGB 0-255, alpha not premultiplied. */
export interface DecodedImage {
  width: number;
  height: number;
  /** 4 only when at least one pixel is not opaque. */
  channels: 3 | 4;
  data: Uint8Array;
}

export interface DecodeLimits {
  /** Pixels the file may declare; checked before anything is decoded. */
  maxPixels: number;
  /** Time for one decode. */
  timeoutSeconds: number;
}

/**
 * 4096 x 4096 is the largest picture this server makes, so the largest it takes back. A PNG of 31 kB can
 * declare 256 megapixels; refusing by the header costs 1 ms. The time is ten times that of an honest
 * picture at the limit.
 */
export const DECODE_LIMITS: DecodeLimits = { maxPixels: 4096 * 4096, timeoutSeconds: 10 };

/** Pixels of a side: eight times the longest that is made. A picture of one row has 16 million columns. */
export const MAX_DECODED_SIDE = 32_768;

/**
 * Decodes PNG, JPEG, WebP or GIF (first frame) to 8-bit sRGB. EXIF orientation is applied; grey, palette,
 * 16-bit and CMYK pictures and embedded colour profiles are converted.
 *
 * @param bytes   a complete file; truncated ones are refused, never padded with grey
 * @param limits  `DECODE_LIMITS` unless a caller is stricter
 * @throws ImageError `UNSUPPORTED_FORMAT`, `IMAGE_TOO_LARGE`, `CORRUPT_IMAGE`
 */
export async function decodeImage(
  bytes: Uint8Array,
  limits: DecodeLimits = DECODE_LIMITS,
): Promise<DecodedImage> {
  try {
    const { data, info } = await sharp(bytes, {
      limitInputPixels: limits.maxPixels,
      failOn: 'error',
      pages: 1,
      sequentialRead: true,
      autoOrient: true,
    })
      .timeout({ seconds: limits.timeoutSeconds })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3 && info.channels !== 4) {
      throw new ImageError('CORRUPT_IMAGE', `The picture has ${info.channels} channels.`);
    }
    const { width, height, channels } = info;
    if (Math.max(width, height) > MAX_DECODED_SIDE) {
      throw new ImageError(
        'IMAGE_TOO_LARGE',
        `Expected sides of at most ${MAX_DECODED_SIDE} pixels but received ${width} x ${height}.`,
      );
    }
    if (channels === 4 && isOpaque(data))
      return { width, height, channels: 3, data: dropAlpha(data) };
    // A Buffer's `slice` shares memory, a Uint8Array's copies: hand out what the type says.
    return {
      width,
      height,
      channels,
      data: new Uint8Array(data.buffer, data.byteOffset, data.length),
    };
  } catch (error) {
    throw error instanceof ImageError ? error : toImageError(error, limits);
  }
}

function isOpaque(rgba: Uint8Array): boolean {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 255) return false;
  return true;
}

/** Returns u8 RGB of u8 RGBA, whatever the alpha; the colours of what is transparent come to light. */
export function dropAlpha(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from]!;
    rgb[to++] = rgba[from + 1]!;
    rgb[to++] = rgba[from + 2]!;
  }
  return rgb;
}

/** Sorts libvips' messages into the error codes of this folder. */
export function toImageError(error: unknown, limits: DecodeLimits = DECODE_LIMITS): ImageError {
  const message = error instanceof Error ? error.message : String(error);
  if (/unsupported image format|is empty/.test(message)) {
    return new ImageError(
      'UNSUPPORTED_FORMAT',
      'Expected a PNG, JPEG, WebP or GIF picture but received something else.',
      { cause: error },
    );
  }
  if (/exceeds pixel limit|exceeds channel limit/.test(message)) {
    return new ImageError(
      'IMAGE_TOO_LARGE',
      `Expected a picture of at most ${limits.maxPixels} pixels but received a larger one.`,
      { cause: error },
    );
  }
  if (/^timeout/.test(message)) {
    return new ImageError(
      'IMAGE_TOO_LARGE',
      `Decoding the picture took over ${limits.timeoutSeconds} seconds.`,
      { cause: error },
    );
  }
  const reason = message.split('\n', 1)[0] ?? '';
  return new ImageError('CORRUPT_IMAGE', `The picture cannot be decoded: ${reason}`, {
    cause: error,
  });
}
