/**
 * CIE L*a*b* in 8 bits per channel, as OpenCV's `cvtColor` has it: towards it in the same fixed-point steps, because
 * histograms of it are matched and a level more or less leads elsewhere; back in floating point, within a level.
 */
import { blankRaster, type Raster } from './raster.ts';

type Triple = readonly [number, number, number];

/** Levels of one 8-bit channel. */
const LEVELS = 256;
/** CIE L*a*b*: where the cube root begins, and the line below it. */
const EPSILON = 216 / 24389;
const KAPPA = 24389 / 27;
/** White of D65. */
const WHITE = [0.950456, 1, 1.088754] as const;
/** sRGB to XYZ (IEC 61966-2-1), row by row. */
const TO_XYZ = [
  [0.412453, 0.35758, 0.180423],
  [0.212671, 0.71516, 0.072169],
  [0.019334, 0.119193, 0.950227],
] as const;
const FROM_XYZ = [
  [3.240479, -1.53715, -0.498535],
  [-0.969256, 1.875991, 0.041556],
  [0.055648, -0.204043, 1.057311],
] as const;

/** Fractional bits: of linear light, of the matrix, and of the cube root. */
const LIGHT_BITS = 3;
const MATRIX_BITS = 12;
const ROOT_BITS = MATRIX_BITS + LIGHT_BITS;
/** Light that is looked up goes to half again what white has. */
const MAX_LIGHT = (LEVELS * 3) / 2;
const L_SCALE = Math.floor((116 * 255 + 50) / 100);
const L_SHIFT = -Math.floor((16 * 255 * 2 ** ROOT_BITS + 50) / 100);

/** Linear light of a level, 255 = white, in fixed point. */
const LIGHT = Uint16Array.from({ length: LEVELS }, (_, level) => {
  const share = level / 255;
  const linear = share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  return Math.round(255 * 2 ** LIGHT_BITS * linear);
});
/** The function f of L*a*b* over linear light, both in fixed point. */
const ROOT = Uint16Array.from({ length: MAX_LIGHT * 2 ** LIGHT_BITS }, (_, light) => {
  const share = light / (255 * 2 ** LIGHT_BITS);
  const root = share < EPSILON ? (share * 841) / 108 + 16 / 116 : Math.cbrt(share);
  return Math.round(2 ** ROOT_BITS * root);
});
const MATRIX = TO_XYZ.map((row, n) =>
  row.map((value) => Math.round((2 ** MATRIX_BITS * value) / WHITE[n]!)),
) as unknown as readonly [Triple, Triple, Triple];

/** Returns a picture of three channels as L*, a* and b* from 0 to 255: L* x 2.55, the others + 128. */
export function toLab(image: Raster): Raster {
  const lab = blankRaster(image.width, image.height, 3);
  const { data } = image;
  for (let i = 0; i < data.length; i += 3) {
    const light = [LIGHT[data[i]!]!, LIGHT[data[i + 1]!]!, LIGHT[data[i + 2]!]!] as const;
    const x = ROOT[descale(dot(MATRIX[0], light), MATRIX_BITS)]!;
    const y = ROOT[descale(dot(MATRIX[1], light), MATRIX_BITS)]!;
    const z = ROOT[descale(dot(MATRIX[2], light), MATRIX_BITS)]!;
    lab.data[i] = toByte(L_SCALE * y + L_SHIFT);
    lab.data[i + 1] = toByte(500 * (x - y) + 128 * 2 ** ROOT_BITS);
    lab.data[i + 2] = toByte(200 * (y - z) + 128 * 2 ** ROOT_BITS);
  }
  return lab;
}

/** Drops fractional bits, rounded. */
function descale(value: number, bits: number): number {
  return (value + 2 ** (bits - 1)) >> bits;
}

function toByte(value: number): number {
  return Math.min(255, Math.max(0, descale(value, ROOT_BITS)));
}

/** Returns red, green, blue of three numbers of `toLab` at an offset, 0 … 1, rounded to 8 bits. */
export function fromLab(data: Uint8Array, at: number): Triple {
  const y = (data[at]! / 2.55 + 16) / 116;
  const x = y + (data[at + 1]! - 128) / 500;
  const z = y - (data[at + 2]! - 128) / 200;
  const xyz = [x, y, z].map((value, n) => cube(value) * WHITE[n]!) as unknown as Triple;
  return FROM_XYZ.map((row) => {
    const linear = Math.min(1, Math.max(0, dot(row, xyz)));
    const share = linear <= 0.0031308 ? linear * 12.92 : 1.055 * linear ** (1 / 2.4) - 0.055;
    return Math.round(share * 255) / 255;
  }) as unknown as Triple;
}

function cube(value: number): number {
  const cubed = value ** 3;
  return cubed > EPSILON ? cubed : (116 * value - 16) / KAPPA;
}

function dot(a: Triple, b: Triple): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
