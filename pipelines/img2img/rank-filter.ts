/** A plane of numbers, f32 [height, width]. */
export interface Plane {
  width: number;
  height: number;
  data: Float32Array;
}

/** The neighbourhood: cells at most so far away, weighted by exp(-(distance / deviation)²). */
const RADIUS = 2;
const DEVIATION = 1.5;
/** Weight that the averaged part of the sorted neighbourhood has at least: that of its middle cell. */
const MIN_WEIGHT = 1;

/**
 * Returns for each cell the mean of a part of its sorted neighbourhood: a weighted median or maximum that
 * does not jump.
 *
 * @param plane  not changed
 * @param ranks  which part, as shares of the neighbourhood's weight, 0 … 1
 */
export function filterByRank(plane: Plane, ranks: readonly [number, number]): Plane {
  const { width, height } = plane;
  const data = new Float32Array(plane.data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data[y * width + x] = meanOfRanks(around(plane, x, y), ranks);
  }
  return { width, height, data };
}

interface Neighbour {
  value: number;
  weight: number;
}

/** The cells around one, lowest first; beyond the edges there are none. */
function around({ width, height, data }: Plane, x: number, y: number): Neighbour[] {
  const neighbours: Neighbour[] = [];
  for (let dy = -RADIUS; dy <= RADIUS; dy++) {
    for (let dx = -RADIUS; dx <= RADIUS; dx++) {
      const [atX, atY] = [x + dx, y + dy];
      if (atX < 0 || atY < 0 || atX >= width || atY >= height) continue;
      const weight = Math.exp(-(dx * dx + dy * dy) / DEVIATION ** 2);
      neighbours.push({ value: data[atY * width + atX]!, weight });
    }
  }
  return neighbours.sort((a, b) => a.value - b.value);
}

function meanOfRanks(sorted: readonly Neighbour[], [low, high]: readonly [number, number]): number {
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0);
  const width = Math.min(total, Math.max(MIN_WEIGHT, (high - low) * total));
  const centre = ((low + high) / 2) * total;
  const begin = Math.min(Math.max(0, centre - width / 2), total - width);
  const end = begin + width;
  let [at, sum, used] = [0, 0, 0];
  for (const { value, weight } of sorted) {
    const overlap = Math.min(end, at + weight) - Math.max(begin, at);
    at += weight;
    if (overlap <= 0) continue;
    sum += value * overlap;
    used += overlap;
  }
  return used > 0 ? sum / used : (sorted.at(-1)?.value ?? 0);
}
