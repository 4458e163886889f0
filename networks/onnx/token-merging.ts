/**
 * Token merging for self-attention (Bolya & Hoffman 2023, "Token Merging for Fast Stable Diffusion").
 *
 * One token of every 2x2 cell is a destination. Of the others, those most alike to their nearest
 * destination are merged into it by their mean; after the attention they get its result back.
 */
import type { Graph, Value } from './graph.ts';

/** Side of the cells that have one destination each, in tokens. */
const CELL = 2;

/** Names of the graph's inputs, all i64; `planTokenMerging` fills them. */
const INPUTS = ['src', 'dst', 'restore', 'count', 'kept', 'slots'] as const;
type MergingInput = (typeof INPUTS)[number];
const inputName = (input: MergingInput) => `merging.${input}`;

/** Adds the inputs of token merging to a graph. */
export function openTokenMerging(g: Graph): Value[] {
  return INPUTS.map((input) =>
    g.input(inputName(input), 'i64', [input === 'count' ? 1 : inputName(input)]),
  );
}

/**
 * Returns how many tokens of an h x w map are merged into others.
 *
 * @param ratio  share of all tokens, 0 … 1
 */
export function countMergedTokens(
  [height, width]: readonly [height: number, width: number],
  ratio: number,
): number {
  const destinations = Math.floor(height / CELL) * Math.floor(width / CELL);
  return Math.min(height * width - destinations, Math.trunc(height * width * ratio));
}

/**
 * Returns what a run of a graph with token merging is fed: which tokens of an h x w map may be
 * merged (`src`), into which (`dst`, the top left of each whole cell), how many are (`count`), where
 * the tokens lie while they are merged, and how to put them in order again.
 *
 * @param ratio  share of all tokens to merge, 0 … 1; at most all of `src` are
 */
export function planTokenMerging(
  [height, width]: readonly [height: number, width: number],
  ratio: number,
): Record<string, { type: 'int64'; data: BigInt64Array; shape: number[] }> {
  const src: number[] = [];
  const dst: number[] = [];
  const [lastRow, lastColumn] = [height - (height % CELL), width - (width % CELL)];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const isCorner = y % CELL === 0 && x % CELL === 0 && y < lastRow && x < lastColumn;
      (isCorner ? dst : src).push(y * width + x);
    }
  const restore = new Array<number>(src.length + dst.length);
  [...src, ...dst].forEach((token, at) => {
    restore[token] = at;
  });
  const count = countMergedTokens([height, width], ratio);
  const keptCount = src.length - count;
  const kept = Array.from({ length: keptCount }, (_, i) => i);
  const slots = dst.map((_, i) => keptCount + i);
  const values = { src, dst, restore, count: [count], kept, slots };
  return Object.fromEntries(
    INPUTS.map((input) => {
      const data = BigInt64Array.from(values[input], BigInt);
      return [inputName(input), { type: 'int64', data, shape: [data.length] }];
    }),
  );
}

/**
 * Runs `attend` on merged tokens.
 *
 * @param metric   what likeness is measured on, f32 [b * tokens, channels]
 * @param x        what is merged, f32 [b * tokens, channels]
 * @param batch    i64 [1]
 * @param attend   from f32 [b * fewer, channels] to the same shape
 * @returns f32 [b * tokens, channels]
 */
export function withMergedTokens(
  g: Graph,
  { metric, x, batch, channels }: { metric: Value; x: Value; batch: Value; channels: number },
  attend: (merged: Value) => Value,
): Value {
  const [src, dst, restore, count, kept, slots] = INPUTS.map(inputName) as [
    Value,
    Value,
    Value,
    Value,
    Value,
    Value,
  ];
  const shape = g.once(`merging shape ${channels}`, () =>
    g.op('Concat', [batch, g.ints([-1, channels])], { axis: 0 }),
  );
  const perPicture = (value: Value) => g.op('Reshape', [value, shape]);
  const tokensOf = (value: Value, indices: Value) => g.op('Gather', [value, indices], { axis: 1 });
  const column = (value: Value) => g.op('Unsqueeze', [value, g.ints([2])]);
  const rowsOf = (value: Value, indices: Value) =>
    g.op('GatherND', [value, column(indices)], { batch_dims: 1 });

  const unit = g.op('LpNormalization', [perPicture(metric)], { axis: -1, p: 2 });
  const scores = g.op('com.microsoft:FusedMatMul', [tokensOf(unit, src), tokensOf(unit, dst)], {
    transB: 1,
  });
  const best = g.op('ReduceMax', [scores, g.ints([-1])], { keepdims: 0 });
  const nearest = g.op('ArgMax', [scores], { axis: -1, keepdims: 0 });
  const all = g.op('Shape', [src]);
  const order = g.ops('TopK', [best, all], 2, { axis: -1, largest: 1, sorted: 1 })[1] as Value;
  const merged = g.op('Slice', [order, g.ints([0]), count, g.ints([1])]);
  const unmerged = g.op('Slice', [order, count, all, g.ints([1])]);
  const partner = g.op('GatherElements', [nearest, merged], { axis: 1 });

  const sources = tokensOf(perPicture(x), src);
  const given = rowsOf(sources, merged);
  const targets = tokensOf(perPicture(x), dst);
  const spread = g.op('Expand', [column(partner), g.op('Shape', [given])]);
  const sums = g.op('ScatterElements', [targets, spread, given], { axis: 1, reduction: 'add' });
  const one = g.once('merging one', () => g.floats([1], [1]));
  const ones = (like: Value) => g.op('Expand', [one, g.op('Shape', [like])]);
  const perTarget = g.op('Expand', [slots, g.op('Concat', [batch, g.ints([1])], { axis: 0 })]);
  const counts = g.op('ScatterElements', [ones(perTarget), partner, ones(partner)], {
    axis: 1,
    reduction: 'add',
  });
  const means = g.op('Div', [sums, column(counts)]);
  const fewer = g.op('Concat', [rowsOf(sources, unmerged), means], { axis: 1 });
  const result = perPicture(attend(g.op('Reshape', [fewer, g.ints([-1, channels])])));

  // Where each source's result lies: in its partner's place, or in its own.
  const perKept = g.op('Expand', [kept, g.op('Concat', [batch, g.ints([1])], { axis: 0 })]);
  const places = g.op('Concat', [g.op('Gather', [slots, partner], { axis: 0 }), perKept], {
    axis: 1,
  });
  const bySource = g.op('ScatterElements', [order, order, places], { axis: 1 });
  const every = g.op('Concat', [bySource, perTarget], { axis: 1 });
  return g.op('Reshape', [rowsOf(result, tokensOf(every, restore)), g.ints([-1, channels])]);
}
