/** "Outpainting mk2": a picture grows at its sides, each side drawn from noise that looks like the picture. */
import { decodeBase64Image } from '../../images/base64.ts';
import { decodeImage } from '../../images/decode.ts';
import { encodeRaster } from '../../images/encode.ts';
import { flattenAlpha } from '../../images/flatten.ts';
import { makeGrid } from '../../images/grid.ts';
import { spreadMask } from '../../images/mask.ts';
import { matchNoise } from '../../images/matched-noise.ts';
import { type Box, cropRaster, pasteRaster, type Raster } from '../../images/raster.ts';
import { ScriptArguments } from './arguments.ts';
import { type Direction, growPicture, planSides } from './outpainting-sides.ts';
import { argument, badArgument, type Script, type ScriptPicture } from './script.ts';

const TITLE = 'Outpainting mk2';
/** Sides that exist, in the order in which they are drawn. */
const DIRECTIONS = ['left', 'right', 'up', 'down'] as const;
/** Pixels a side may grow by, and the blur of its seam; A1111's sliders end here. */
const MAX_PIXELS = 256;
const MAX_BLUR = 64;
/** Longest side of a grown picture: the noise is made of several Fourier transforms of it. */
const MAX_SIDE = 2_048;
/** The mask is blurred wider than its seam is. */
const BLUR_FACTOR = 4;
const WHITE = [255, 255, 255] as const;
const BETWEEN = { format: 'png', quality: 100 } as const;

export const outpainting: Script = {
  title: TITLE,
  tabs: ['img2img'],
  args: () => [
    argument('', ''),
    argument('Pixels to expand', 128, { minimum: 8, maximum: MAX_PIXELS, step: 8 }),
    argument('Mask blur', 8, { minimum: 0, maximum: MAX_BLUR, step: 1 }),
    argument('Outpainting direction', [...DIRECTIONS], { choices: DIRECTIONS }),
    argument('Fall-off exponent (lower=higher detail)', 1, { minimum: 0, maximum: 4, step: 0.01 }),
    argument('Color variation', 0.05, { minimum: 0, maximum: 1, step: 0.01 }),
  ],
  async run({ request, args, make }) {
    const read = new ScriptArguments(TITLE, args);
    const pixels = Math.trunc(read.number(1, 128, 8, MAX_PIXELS));
    const blur = Math.trunc(read.number(2, 8, 0, MAX_BLUR));
    const asked = args[3] === undefined || args[3] === null ? DIRECTIONS : read.texts(3);
    const noise = { falloff: read.number(4, 1, 0, 4), colorVariation: read.number(5, 0.05, 0, 1) };
    const [sent] = request.init_images ?? [];
    const file = decodeBase64Image(sent ?? '', 'init_images');
    const original = flattenAlpha(await decodeImage(file), WHITE);
    const sides = planSides(original, readDirections(asked), pixels);
    if (Math.max(sides.width, sides.height) > MAX_SIDE) {
      throw badArgument(
        `${TITLE}: expected a grown picture of at most ${MAX_SIDE} pixels per side but received ` +
          `${sides.width} x ${sides.height}.`,
      );
    }
    const variants = (request.batch_size ?? 1) * (request.n_iter ?? 1);
    const count = variants * sides.list.length;
    const pictures: ScriptPicture[] = [];
    for (let variant = 0; variant < variants; variant++) {
      let grown = original;
      let latest: ScriptPicture | undefined;
      for (const [i, side] of sides.list.entries()) {
        const step = growPicture(grown, side, blur, {
          width: request.width ?? 512,
          height: request.height ?? 512,
        });
        const canvas = await matchNoise(step.canvas, step.mask, noise);
        const part = cropRaster(canvas, step.drawn);
        const [made] = await make(
          [
            {
              ...request,
              init_images: [await toBase64(part)],
              mask: await toBase64(spreadMask(cropRaster(step.mask, step.drawn))),
              latent_mask: await toBase64(spreadMask(cropRaster(step.latentMask, step.drawn))),
              width: part.width,
              height: part.height,
              mask_blur: null,
              mask_blur_x: side.isHorizontal ? blur * BLUR_FACTOR : 0,
              mask_blur_y: side.isHorizontal ? 0 : blur * BLUR_FACTOR,
              inpainting_mask_invert: 0,
              inpainting_fill: 1,
              inpaint_full_res: false,
              resize_mode: 0,
              batch_size: 1,
              n_iter: 1,
              seed: (request.seed ?? 0) + variant,
            },
          ],
          { index: variant * sides.list.length + i, count },
        );
        latest = made?.pictures[0];
        if (latest === undefined) return finish(pictures);
        grown = placeDrawn(canvas, latest, step.drawn, step.kept);
      }
      if (latest) pictures.push({ ...latest, image: toImage(grown) });
    }
    return finish(pictures);
  },
};

function readDirections(asked: readonly string[]): Direction[] {
  const unknown = asked.find((name) => !DIRECTIONS.some((known) => known === name.toLowerCase()));
  if (unknown !== undefined || asked.length === 0) {
    const received = unknown === undefined ? 'none' : JSON.stringify(unknown);
    throw badArgument(`${TITLE}: expected left, right, up or down but received ${received}.`);
  }
  const names = asked.map((name) => name.toLowerCase());
  return DIRECTIONS.filter((direction) => names.includes(direction));
}

/** The canvas with what was drawn, cut to what is kept of it. */
function placeDrawn(canvas: Raster, { image }: ScriptPicture, drawn: Box, kept: Box): Raster {
  const { width, height, rgb } = image;
  pasteRaster(canvas, { width, height, channels: 3, data: rgb }, drawn.x1, drawn.y1);
  return cropRaster(canvas, kept);
}

function toImage({ width, height, data }: Raster) {
  return { width, height, rgb: data };
}

async function toBase64(raster: Raster): Promise<string> {
  return (await encodeRaster(raster, BETWEEN)).toString('base64');
}

/** The pictures with a grid before them when there are several. */
function finish(pictures: readonly ScriptPicture[]) {
  const [first] = pictures;
  if (first === undefined || pictures.length < 2) {
    return { pictures, grids: 0, indexOfFirstImage: 0 };
  }
  const grid = { ...first, image: makeGrid(pictures.map(({ image }) => image)) };
  return { pictures: [grid, ...pictures], grids: 1, indexOfFirstImage: 0 };
}
