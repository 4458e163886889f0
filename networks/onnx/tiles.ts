/**
 * Self-attention within tiles of the picture (tfernd 2023, "HyperTile"): tokens of one tile see each
 * other only, which makes attention over many tokens cheaper.
 *
 * Which tiles is an input, so that each run may have its own; `tileFeed` makes it, one tile for the
 * whole picture among them.
 */
import type { Graph, TiledLayer, Value } from './graph.ts';

export type { TiledLayer } from './graph.ts';

/** Name of the input with the shapes of all layers, one after the other; i64. */
const INPUT = 'tiles';

/** Numbers of one layer in it: two shapes to reshape to, and how many tiles a picture has. */
const PARTS = [4, 4, 1];
const NUMBERS = PARTS.reduce((sum, count) => sum + count);

const partNames = (layer: string) => PARTS.map((_, part) => `${layer}.tiles.${part}`);

/** Tiles of a picture whose tokens are rows of an h x w map. */
export interface Tiling {
  /** Tokens along a tile's sides. */
  height: number;
  width: number;
  /** Tiles along the picture's sides. */
  rows: number;
  columns: number;
}

/**
 * Runs `attend` on the tokens of each tile.
 *
 * @param x       f32 [b * tokens, channels]
 * @param batch   i64 [1]
 * @param attend  from f32 [b * tokens, channels] in the order of tiles, b times as many pictures as there
 *                are tiles in one, to the same shape
 * @returns f32 [b * tokens, channels]
 */
export function withTiles(
  g: Graph,
  layer: TiledLayer,
  x: Value,
  batch: Value,
  attend: (x: Value, batch: Value) => Value,
): Value {
  g.tiledLayers.push(layer);
  const [split, join, count] = partNames(layer.name) as [Value, Value, Value];
  const perToken = g.ints([-1, layer.channels]);
  const reorder = (tokens: Value, shape: Value) => {
    const swapped = g.op('Transpose', [g.op('Reshape', [tokens, shape])], { perm: [0, 2, 1, 3] });
    return g.op('Reshape', [swapped, perToken]);
  };
  return reorder(attend(reorder(x, split), g.op('Mul', [batch, count])), join);
}

/**
 * Runs `attend` on the tiles of feature maps; `pictureTileFeed` makes the input that says which.
 *
 * @param x       f32 [b, channels, h, w]
 * @param attend  from f32 [b * tiles, channels, h', w'] to the same shape
 * @returns f32 [b, channels, h, w]
 */
export function withPictureTiles(
  g: Graph,
  x: Value,
  channels: number,
  attend: (x: Value) => Value,
): Value {
  const tiles = g.input(INPUT, 'i64', [4]);
  const shape = g.op('Shape', [x]);
  const outer = g.op('Shape', [x], { start: 0, end: 2 });
  const cells = g.op('Reshape', [x, g.op('Concat', [outer, tiles], { axis: 0 })]);
  const apart = g.op('Transpose', [cells], { perm: [0, 2, 4, 1, 3, 5] });
  const sides = g.op('Gather', [tiles, g.ints([1, 3])], { axis: 0 });
  const perTile = g.op('Concat', [g.ints([-1, channels]), sides], { axis: 0 });
  const seen = attend(g.op('Reshape', [apart, perTile]));
  const placed = g.op('Reshape', [seen, g.op('Shape', [apart])]);
  const joined = g.op('Transpose', [placed], { perm: [0, 3, 1, 4, 2, 5] });
  return g.op('Reshape', [joined, shape]);
}

/** Gives every layer its part of the shared input; call once, when all layers are written. */
export function splitTiles(g: Graph): void {
  const layers = g.tiledLayers;
  if (layers.length === 0) return;
  const all = g.input(INPUT, 'i64', [layers.length * NUMBERS]);
  const sizes = g.ints(layers.flatMap(() => PARTS));
  const outputs = layers.flatMap(({ name }) => partNames(name));
  // Before all nodes that use them.
  g.model.nodes.unshift({
    op: 'Split',
    domain: '',
    inputs: [all, sizes],
    outputs,
    attributes: { axis: 0 },
  });
}

/**
 * Returns what a run is fed with.
 *
 * @param layers   of the graph, in its order
 * @param tilings  one per layer; null for a layer that sees the whole picture
 */
export function tileFeed(
  layers: readonly TiledLayer[],
  tilings: readonly (Tiling | null)[],
): Record<string, { type: 'int64'; data: BigInt64Array; shape: number[] }> {
  const numbers = layers.flatMap(({ channels }, i) => {
    const { height, width, rows, columns } = tilings[i] ?? WHOLE;
    const row = width * channels;
    return [...[-1, height, columns, row], ...[-1, columns, height, row], rows * columns];
  });
  const data = BigInt64Array.from(numbers, BigInt);
  return { [INPUT]: { type: 'int64', data, shape: [data.length] } };
}

/** Returns what a run of a graph with `withPictureTiles` is fed with. */
export function pictureTileFeed({
  height,
  width,
  rows,
  columns,
}: Tiling): Record<string, { type: 'int64'; data: BigInt64Array; shape: number[] }> {
  const data = BigInt64Array.from([rows, height, columns, width], BigInt);
  return { [INPUT]: { type: 'int64', data, shape: [data.length] } };
}

/** Leaves tokens where they are. */
const WHOLE: Tiling = { height: 1, width: 1, rows: 1, columns: 1 };
