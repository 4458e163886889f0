import { fromLab, toLab } from './lab.ts';
import { lumaOf, setLuma } from './luminosity.ts';
import { blankRaster, type Raster } from './raster.ts';

/** Keeps a level that is whole from falling below itself in floating point. */
const EXACT = 1e-9;
/** Levels of one 8-bit channel. */
const LEVELS = 256;
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
    // Truncated, as the web UI does it; the sum of a colour's parts is never quite whole.
    for (let c = 0; c < 3; c++) result.data[i + c] = Math.trunc(color[c]! * 255 + EXACT);
  }
  return result;
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
