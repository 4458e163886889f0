import { createGenerator, type NoiseSource } from './generator.ts';
import { generateSeedState } from './seed-sequence.ts';

/** Decimals that times are rounded to: torchsde's default tolerance of 1e-6. */
const TIME_DECIMALS = 6;

/** Words of seed state, torchsde's BrownianTree default. */
const POOL_SIZE = 24;

/** One interval of the dyadic tree. */
interface TreeNode {
  key: number;
  depth: number;
  start: number;
  end: number;
  /** W(start); f64 [size]. */
  base: Float64Array;
  /** W(end) - W(start); f64 [size]. */
  increment: Float64Array;
}

/**
 * A Brownian motion that is fixed by its seed alone: the value at a time does not depend on which
 * times were asked for before. Equals torchsde's `BrownianTree`.
 */
export class BrownianTree {
  readonly #source: NoiseSource;
  readonly #seed: number;
  readonly #size: number;
  /** Root and the nodes down to the last time asked for; neighbours share most of that path. */
  readonly #path: TreeNode[];

  /**
   * @param source generator of the nodes' normal numbers
   * @param seed   integer >= 0
   * @param size   values at each time
   * @param t0     first time; >= 0
   * @param t1     last time; > t0
   */
  constructor(source: NoiseSource, seed: number, size: number, t0: number, t1: number) {
    this.#source = source;
    this.#seed = seed;
    this.#size = size;
    const increment = this.#draw([], Math.sqrt(t1 - t0));
    const [start, end] = [roundTime(t0), roundTime(t1)];
    const base = new Float64Array(size);
    this.#path = [{ key: 0, depth: 0, start, end, base, increment }];
  }

  /**
   * Returns the motion's value at a time.
   *
   * @param time clamped to t0 … t1
   * @returns f64 [size], 0 at t0; shared with the tree, not to be changed
   */
  at(time: number): Float64Array {
    const root = this.#path[0]!;
    const t = Math.min(Math.max(roundTime(time), root.start), root.end);
    let node = this.#path.pop()!;
    while (node !== root && (t < node.start || t > node.end)) node = this.#path.pop()!;
    this.#path.push(node);
    while (t !== node.start && t !== node.end) {
      node = this.#descend(node, t);
      this.#path.push(node);
    }
    if (t === node.start) return node.base;
    return addScaled(node.base.slice(), 1, node.increment);
  }

  /** The half of a node that holds time t. */
  #descend(node: TreeNode, t: number): TreeNode {
    const { key, depth, start, end, base, increment } = node;
    const middle = roundTime(0.5 * (end + start));
    const span = end - start;
    // Brownian bridge: the middle given both ends.
    const left = this.#draw([key, depth], Math.sqrt(((middle - start) * (end - middle)) / span));
    const share = (middle - start) / span;
    addScaled(left, share, increment);
    if (t <= middle) {
      return { key: 2 * key, depth: depth + 1, start, end: middle, base, increment: left };
    }
    const right = addScaled(increment.slice(), -1, left);
    addScaled(left, 1, base);
    return { key: 2 * key + 1, depth: depth + 1, start: middle, end, base: left, increment: right };
  }

  /** Unit normal numbers of one node, scaled. */
  #draw(spawnKey: readonly number[], scale: number): Float64Array {
    const seed = generateSeedState(this.#seed, spawnKey, POOL_SIZE, 1)[0]!;
    const normal = createGenerator(this.#source, seed).normal(this.#size);
    const drawn = new Float64Array(this.#size);
    for (let i = 0; i < drawn.length; i++) drawn[i] = normal[i]! * scale;
    return drawn;
  }
}

/** Adds a multiple of a vector to another, in place. */
function addScaled(target: Float64Array, factor: number, vector: Float64Array): Float64Array {
  for (let i = 0; i < target.length; i++) target[i] = target[i]! + factor * vector[i]!;
  return target;
}

/** Rounds to six decimals as Python's `round` does: exactly, halves to even. */
function roundTime(time: number): number {
  const rounded = Number(time.toFixed(TIME_DECIMALS));
  // Only odd multiples of 1/128 lie exactly halfway; toFixed rounds those up.
  if (!Number.isInteger(time * 128) || Number.isInteger(time * 64)) return rounded;
  const below = Math.floor(time * 10 ** TIME_DECIMALS);
  return (below % 2 === 0 ? below : below + 1) / 10 ** TIME_DECIMALS;
}

/**
 * Returns the step noise of the SDE samplers: one tree per image, seeded with the image's seed.
 *
 * @param source   generator of the trees
 * @param seeds    integer >= 0 per image
 * @param size     values of one image
 * @param sigmaMin smallest positive noise level of the full schedule
 * @param sigmaMax largest noise level of the full schedule
 * @returns (sigma, sigmaNext) → unit normal f32 [images · size], -(W(sigma) - W(sigmaNext)) over
 *   the root of their distance
 */
export function createBrownianNoise(
  source: NoiseSource,
  seeds: readonly number[],
  size: number,
  sigmaMin: number,
  sigmaMax: number,
): (sigma: number, sigmaNext: number) => Float32Array {
  const trees = seeds.map((seed) => new BrownianTree(source, seed, size, sigmaMin, sigmaMax));
  return (sigma, sigmaNext) => {
    const noise = new Float32Array(seeds.length * size);
    const scale = 1 / Math.sqrt(Math.abs(sigma - sigmaNext));
    trees.forEach((tree, image) => {
      const from = tree.at(sigma);
      const to = tree.at(sigmaNext);
      for (let i = 0; i < size; i++) noise[image * size + i] = (to[i]! - from[i]!) * scale;
    });
    return noise;
  };
}
