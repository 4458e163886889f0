/** Sizes of a hires fix, as plain arithmetic: the HTTP side checks them before anything runs. */

/** Pixels per side of a latent cell. */
const CELL_PIXELS = 8;
/** What the first versions of the web UI drew at first: this many pixels, sides in steps of 64. */
const OLD_FIRST_PIXELS = 512 * 512;
const OLD_SIDE_UNIT = 64;

/** Pixels. */
export interface Size {
  width: number;
  height: number;
}

/** What a request says about sizes. */
export interface HiresSizes extends Size {
  /** Times as large; used when both sides below are 0. */
  scale: number;
  /** Final sides in pixels; one of them 0 follows the other. */
  resizeX: number;
  resizeY: number;
  /** Option use_old_hires_fix_width_height: width and height are the final ones. */
  usesOldSizes: boolean;
}

/** What comes of it. */
export interface HiresPlan {
  first: Size;
  /** What the first pass's picture is enlarged to. */
  enlarged: Size;
  /** Latent cells cut off, half of them on each side. */
  cut: Size;
  /** What is drawn in the second pass: the enlarged size without the cells that are cut off. */
  final: Size;
}

/**
 * Returns the sizes of both passes, as the web UI computes them: one side follows the other by whole
 * proportion, and where both are given the picture covers them and is cut, in latent cells.
 */
export function planHires(sizes: HiresSizes): HiresPlan {
  const first = sizes.usesOldSizes ? firstSizeOf(sizes) : { ...sizes };
  const { width, height } = first;
  const resizeX = sizes.usesOldSizes ? sizes.width : sizes.resizeX;
  const resizeY = sizes.usesOldSizes ? sizes.height : sizes.resizeY;
  const byWidth = { width: resizeX, height: Math.floor((resizeX * height) / width) };
  const byHeight = { width: Math.floor((resizeY * width) / height), height: resizeY };
  let enlarged: Size;
  let cut = { width: 0, height: 0 };
  if (resizeX === 0 && resizeY === 0) {
    enlarged = { width: Math.trunc(width * sizes.scale), height: Math.trunc(height * sizes.scale) };
  } else if (resizeY === 0) enlarged = byWidth;
  else if (resizeX === 0) enlarged = byHeight;
  else {
    enlarged = width / height < resizeX / resizeY ? byWidth : byHeight;
    cut = {
      width: Math.floor((enlarged.width - resizeX) / CELL_PIXELS),
      height: Math.floor((enlarged.height - resizeY) / CELL_PIXELS),
    };
  }
  const side = (pixels: number, cells: number) =>
    (Math.floor(pixels / CELL_PIXELS) - cells) * CELL_PIXELS;
  const final = {
    width: side(enlarged.width, cut.width),
    height: side(enlarged.height, cut.height),
  };
  return { first: { width, height }, enlarged, cut, final };
}

/** Both sides scaled to 512 x 512 pixels, each rounded up to a multiple of 64. */
function firstSizeOf({ width, height }: Size): Size {
  const scale = Math.sqrt(OLD_FIRST_PIXELS / (width * height));
  const side = (pixels: number) => Math.ceil((scale * pixels) / OLD_SIDE_UNIT) * OLD_SIDE_UNIT;
  return { width: side(width), height: side(height) };
}
