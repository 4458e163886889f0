import type { Latent } from './latents.ts';

/** How cells between cells are found; corners are not aligned in any of them. */
export interface LatentFilter {
  filter: 'bilinear' | 'bicubic' | 'nearest' | 'nearest-exact';
  /** Whether a smaller target widens the filter. */
  isAntialiased: boolean;
}

/** What a target cell is made of: source cells with their weights. */
type Taps = readonly (readonly [cell: number, weight: number])[];

const BILINEAR: LatentFilter = { filter: 'bilinear', isAntialiased: false };
/** Keys 1981: what PyTorch takes, and what it takes when it avoids aliases. */
const CUBIC_A = -0.75;
const ANTIALIASED_CUBIC_A = -0.5;

/**
 * Returns a latent at another size, as `torch.nn.functional.interpolate` does.
 *
 * @param latent  f32 [b, c, h, w]; not changed
 * @param filter  bilinear without antialiasing unless told otherwise
 * @returns the latent itself when the size is its own
 */
export function resizeLatent(
  latent: Latent,
  height: number,
  width: number,
  filter: LatentFilter = BILINEAR,
): Latent {
  const [batch, channels, sourceHeight, sourceWidth] = latent.shape;
  if (height === sourceHeight && width === sourceWidth) return latent;
  const rows = placeTaps(sourceHeight, height, filter);
  const columns = placeTaps(sourceWidth, width, filter);
  const data = new Float32Array(batch * channels * height * width);
  const across = new Float64Array(sourceHeight * width);
  let at = 0;
  for (let plane = 0; plane < batch * channels; plane++) {
    const from = plane * sourceHeight * sourceWidth;
    for (let y = 0, to = 0; y < sourceHeight; y++) {
      const row = from + y * sourceWidth;
      for (const taps of columns) {
        let sum = 0;
        for (const [cell, weight] of taps) sum += latent.data[row + cell]! * weight;
        across[to++] = sum;
      }
    }
    for (const taps of rows) {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        for (const [cell, weight] of taps) sum += across[cell * width + x]! * weight;
        data[at++] = sum;
      }
    }
  }
  return { data, shape: [batch, channels, height, width] };
}

function placeTaps(source: number, target: number, { filter, isAntialiased }: LatentFilter) {
  const scale = source / target;
  return Array.from({ length: target }, (_, i): Taps => {
    const last = source - 1;
    if (filter === 'nearest') return [[Math.min(Math.floor(i * scale), last), 1]];
    if (filter === 'nearest-exact') return [[Math.min(Math.floor((i + 0.5) * scale), last), 1]];
    if (isAntialiased) return spread(source, scale, (i + 0.5) * scale, filter);
    const exact = (i + 0.5) * scale - 0.5;
    return filter === 'bilinear' ? between(Math.max(0, exact), last) : around(exact, last);
  });
}

/** The two nearest cells. */
function between(exact: number, last: number): Taps {
  const low = Math.min(Math.floor(exact), last);
  const share = exact - low;
  return [
    [low, 1 - share],
    [Math.min(low + 1, last), share],
  ];
}

/** The four nearest cells; those beyond an edge are the edge's. */
function around(exact: number, last: number): Taps {
  const low = Math.floor(exact);
  return [-1, 0, 1, 2].map((offset) => [
    Math.min(Math.max(low + offset, 0), last),
    cubic(Math.abs(exact - low - offset), CUBIC_A),
  ]);
}

/** All cells that a filter of at least its own width reaches; those beyond an edge do not count. */
function spread(
  source: number,
  scale: number,
  center: number,
  filter: LatentFilter['filter'],
): Taps {
  const width = Math.max(scale, 1);
  const support = (filter === 'bicubic' ? 2 : 1) * width;
  const first = Math.max(Math.trunc(center - support + 0.5), 0);
  const end = Math.min(Math.trunc(center + support + 0.5), source);
  const weigh = (distance: number) =>
    filter === 'bicubic' ? cubic(distance, ANTIALIASED_CUBIC_A) : Math.max(0, 1 - distance);
  const taps = Array.from(
    { length: end - first },
    (_, k) => [first + k, weigh(Math.abs((first + k - center + 0.5) / width))] as const,
  );
  const sum = taps.reduce((total, [, weight]) => total + weight, 0);
  return taps.map(([cell, weight]) => [cell, weight / sum] as const);
}

function cubic(x: number, a: number): number {
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}
