import { lumaOf, setLuma } from './luminosity.ts';
import { blankRaster, type Raster } from './raster.ts';

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

type Triple = readonly [number, number, number];

const LINEAR = Float64Array.from({ length: LEVELS }, (_, value) => {
  const share = value / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
});

/**
 * Returns the picture in the colours of another one, with its own light and dark: the histogram of every
 * channel of L*a*b* is brought to that of the model, then luminosity is taken from the picture again.
 *
 * @param image  three channels; not changed
 * @param model  three channels, any size; not changed
 */
export function matchColors(image: Raster, model: Raster): Raster {
  const lab = toLab(image);
  const target = toLab(model);
  const matched = blankRaster(image.width, image.height, 3);
  for (let channel = 0; channel < 3; channel++) {
    const table = matchHistogram(countLevels(lab, channel), countLevels(target, channel));
    for (let i = channel; i < lab.data.length; i += 3) matched.data[i] = table[lab.data[i]!]!;
  }
  const result = blankRaster(image.width, image.height, 3);
  for (let i = 0; i < result.data.length; i += 3) {
    const [r, g, b] = [image.data[i]!, image.data[i + 1]!, image.data[i + 2]!];
    const color = setLuma(fromLab(matched.data, i), lumaOf(r / 255, g / 255, b / 255));
    for (let c = 0; c < 3; c++) result.data[i + c] = Math.round(color[c]! * 255);
  }
  return result;
}

function toLab(image: Raster): Raster {
  const lab = blankRaster(image.width, image.height, 3);
  for (let i = 0; i < lab.data.length; i += 3) {
    const linear = [0, 1, 2].map((c) => LINEAR[image.data[i + c]!]!) as unknown as Triple;
    const [x, y, z] = TO_XYZ.map((row, n) => root(dot(row, linear) / WHITE[n]!)) as [
      number,
      number,
      number,
    ];
    lab.data[i] = clampByte((116 * y - 16) * 2.55);
    lab.data[i + 1] = clampByte(500 * (x - y) + 128);
    lab.data[i + 2] = clampByte(200 * (y - z) + 128);
  }
  return lab;
}

/** Red, green, blue, 0 … 1, rounded to 8 bits. */
function fromLab(data: Uint8Array, at: number): Triple {
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

function root(value: number): number {
  return value > EPSILON ? Math.cbrt(value) : (KAPPA * value + 16) / 116;
}

function cube(value: number): number {
  const cubed = value ** 3;
  return cubed > EPSILON ? cubed : (116 * value - 16) / KAPPA;
}

function dot(a: Triple, b: Triple): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

function clampByte(value: number): number {
  return Math.min(255, Math.max(0, Math.round(value)));
}

function countLevels({ data }: Raster, channel: number): Float64Array {
  const counts = new Float64Array(LEVELS);
  for (let i = channel; i < data.length; i += 3) counts[data[i]!]! += 1;
  return counts;
}

/** For every level the one of the model that as large a share of its pixels is at or below. */
function matchHistogram(source: Float64Array, model: Float64Array): Uint8Array {
  const table = new Uint8Array(LEVELS);
  const sourceShares = toShares(source);
  const modelShares = toShares(model);
  const levels = [...model.keys()].filter((level) => model[level]! > 0);
  let next = 0;
  for (let level = 0; level < LEVELS; level++) {
    const share = sourceShares[level]!;
    while (next < levels.length - 1 && modelShares[levels[next]!]! < share) next++;
    const high = levels[next]!;
    const low = levels[Math.max(0, next - 1)]!;
    const span = modelShares[high]! - modelShares[low]!;
    const part = span > 0 ? Math.min(1, Math.max(0, (share - modelShares[low]!) / span)) : 1;
    table[level] = Math.trunc(low + part * (high - low));
  }
  return table;
}

function toShares(counts: Float64Array): Float64Array {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let sum = 0;
  return counts.map((count) => {
    sum += count;
    return sum / total;
  });
}
