import { DECODE_LIMITS, toImageError } from './decode.ts';
import { readUserComment } from './exif.ts';
import { isPng } from './png-chunks.ts';
import { readPngText } from './png-text.ts';
import { sharp } from './sharp.ts';

/** Text found in a picture. */
export interface PictureText {
  /** The infotext as stored; the empty string when there is none. */
  infotext: string;
  /** The picture's other texts by PNG keyword, e.g. `postprocessing`. */
  items: Map<string, string>;
}

/**
 * Returns the infotext of a PNG, JPEG, WebP or GIF without decoding its pixels. EXIF UserComment wins over the
 * PNG chunk `parameters`, as in the web UI.
 *
 * @throws ImageError `UNSUPPORTED_FORMAT`, `CORRUPT_IMAGE`, `IMAGE_TOO_LARGE`, `TEXT_TOO_LARGE`
 */
export async function readInfotext(bytes: Uint8Array): Promise<PictureText> {
  const exif = await readExif(bytes);
  const items = isPng(bytes) ? readPngText(bytes) : new Map<string, string>();
  const parameters = items.get('parameters') ?? '';
  items.delete('parameters');
  return { infotext: (exif && readUserComment(exif)) || parameters, items };
}

async function readExif(bytes: Uint8Array): Promise<Uint8Array | null> {
  try {
    const options = {
      limitInputPixels: DECODE_LIMITS.maxPixels,
      failOn: 'error',
      pages: 1,
    } as const;
    const metadata = await sharp(bytes, options).metadata();
    return metadata.exif ?? null;
  } catch (error) {
    throw toImageError(error);
  }
}
