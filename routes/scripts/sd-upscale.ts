/** "SD upscale": a picture enlarged and drawn over, tile by tile. */
import { encodeImage } from '../../images/encode.ts';
import { addInfotextFields } from '../../images/infotext.ts';
import type { Raster } from '../../images/raster.ts';
import { LANCZOS, resample } from '../../images/resample.ts';
import type { RgbImage } from '../../images/rgb-image.ts';
import { mapTiles } from '../../images/tile-grid.ts';
import { MIN_SIDE } from '../../openapi/schemas/bounds.ts';
import { ScriptArguments } from './arguments.ts';
import {
  argument,
  badArgument,
  type Script,
  type ScriptCall,
  type ScriptPicture,
  type ScriptRequest,
} from './script.ts';

const TITLE = 'SD upscale';
/** A1111's sliders end at 256 and 4. */
const MAX_OVERLAP = 512;
const MAX_FACTOR = 8;
/** `inpainting_fill` and `resize_mode` that leave a tile as it is. */
const ORIGINAL = { inpainting_fill: 1, resize_mode: 0 };
/** Between two pictures nothing may be lost. */
const BETWEEN = { format: 'png', quality: 100 } as const;

export const sdUpscale: Script = {
  title: TITLE,
  tabs: ['img2img'],
  args: (_tab, { upscalers }) => [
    argument('', ''),
    argument('Tile overlap', 64, { minimum: 0, maximum: MAX_OVERLAP, step: 16 }),
    argument('Upscaler', upscalers[0] ?? 'None', { choices: upscalers }),
    argument('Scale Factor', 2, { minimum: 1, maximum: MAX_FACTOR, step: 0.05 }),
  ],
  async run(call) {
    const { request, args, names } = call;
    const read = new ScriptArguments(TITLE, args);
    const overlap = Math.trunc(read.number(1, 64, 0, MAX_OVERLAP));
    const upscaler = read.choice(2, names.upscalers, 'None');
    const factor = read.number(3, 2, 1, MAX_FACTOR);
    const [width, height] = [request.width ?? 512, request.height ?? 512];
    if (overlap >= Math.min(width, height)) {
      throw badArgument(
        `Expected an overlap below the tile's ${Math.min(width, height)} pixels but received ${overlap}.`,
      );
    }
    const enlarged = await call.enlarge(upscaler, factor);
    const size = { width, height, overlap };
    const fields = [
      ['SD upscale overlap', overlap],
      ['SD upscale upscaler', upscaler],
    ] as const;
    const count = request.n_iter ?? 1;
    const pictures: ScriptPicture[] = [];
    let infotext: string | null = null;
    for (let n = 0; n < count; n++) {
      const seed = (request.seed ?? 0) + n;
      const drawn = await drawTiles(call, enlarged, size, seed, { index: n, count });
      const [first] = drawn.pictures;
      if (first === undefined) break;
      // All results tell what the first tile of all was drawn with.
      infotext ??= addInfotextFields(first.infotext, fields);
      pictures.push({ ...first, image: drawn.image, infotext, seed });
    }
    return { pictures, grids: 0, indexOfFirstImage: 0 };
  },
};

/**
 * Draws a picture over, in batches of tiles. Each batch has the seed after that of the one before. A
 * picture that is smaller than a tile is drawn at its own size, where the web UI fills up with black.
 *
 * @param place  of this picture among all that are drawn
 * @returns the picture, and what its tiles came to; tiles that an interruption left out stay as they were
 */
async function drawTiles<R extends ScriptRequest>(
  { request, make }: ScriptCall<R>,
  image: Raster,
  size: { width: number; height: number; overlap: number },
  seed: number,
  place: { index: number; count: number },
): Promise<{ image: RgbImage; pictures: ScriptPicture[] }> {
  const tiles: string[] = [];
  await mapTiles(image, size, async (tile) => {
    const { width, height, data } = tile;
    const file = await encodeImage({ width, height, rgb: data }, BETWEEN, null);
    tiles.push(file.toString('base64'));
    return tile;
  });
  const side = (asked: number, there: number) => Math.max(MIN_SIDE, Math.min(asked, there));
  const drawn = {
    ...request,
    ...ORIGINAL,
    width: side(size.width, image.width),
    height: side(size.height, image.height),
    n_iter: 1,
  };
  const batchSize = request.batch_size ?? 1;
  const requests: R[] = [];
  for (let from = 0; from < tiles.length; from += batchSize) {
    const init_images = tiles.slice(from, from + batchSize);
    const batch_size = init_images.length;
    requests.push({ ...drawn, init_images, batch_size, seed: seed + requests.length });
  }
  const made = await make(requests, {
    index: place.index * requests.length,
    count: place.count * requests.length,
  });
  const pictures = made.flatMap((one) => one.pictures);
  const whole = await mapTiles(image, size, async (tile, index) => {
    const result = pictures[index]?.image;
    return result === undefined ? tile : bringTo(result, tile);
  });
  const { width, height, data } = whole ?? image;
  return { image: { width, height, rgb: data }, pictures };
}

/** A drawn tile at the size of its place: sides that are no multiples of 8 come back shorter. */
function bringTo({ width, height, rgb }: RgbImage, place: Raster): Raster {
  const tile = { width, height, channels: 3, data: rgb };
  if (width === place.width && height === place.height) return tile;
  return resample(tile, place.width, place.height, LANCZOS);
}
