/**
 * The low-rank inputs that every Linear and Conv carries: `y + up (down x)`.
 *
 * The rank is free and may be 0. With rank 0 the term is computed for a single row (or pixel) and
 * broadcast, so an unused input costs no pass over the activations.
 */
import type { Graph, Value } from './graph.ts';

/** Above any row count: the end of "all rows" as soon as the rank is 1. */
const ROWS_PER_RANK = 2 ** 40;

/** i64 [1]: 1 for rank 0, more rows than there are otherwise. */
function rowsToCompute(g: Graph, port: string, down: Value): Value {
  return g.once(`${port} rows`, () =>
    g.op('Add', [g.op('Mul', [rankOf(g, port, down), g.ints([ROWS_PER_RANK])]), g.ints([1])]),
  );
}

function rankOf(g: Graph, port: string, down: Value): Value {
  return g.once(`${port} rank`, () => g.op('Shape', [down], { start: 0, end: 1 }));
}

/** Adds the layer's two inputs, once: `<port>.down [rank, in, …kernel]` and `<port>.up [out, rank]`. */
function inputs(
  g: Graph,
  port: string,
  inner: number,
  out: number,
  kernel: number[],
): [Value, Value] {
  const [down, up] = [`${port}.down`, `${port}.up`];
  g.once(down, () => {
    g.loraPorts.push({ layer: port, in: inner, out, kernel });
    g.input(up, 'f32', [out, `${port}.rank`]);
    return g.input(down, 'f32', [`${port}.rank`, inner, ...kernel]);
  });
  return [down, up];
}

/**
 * Returns `(x downᵀ) upᵀ + bias`, f32 [n, rows] or, with rank 0, [1, rows]; undefined when the graph
 * carries no LoRA inputs and there is no bias.
 *
 * @param x     f32 [n, in]
 * @param out   rows of the port's `up`
 * @param rows  the range of them that is wanted
 */
export function lowRankLinear(
  g: Graph,
  port: string,
  x: Value,
  bias: Value | undefined,
  inner: number,
  out: number,
  rows: [from: number, to: number],
): Value {
  const [down, whole] = inputs(g, port, inner, out, []);
  const isPart = rows[0] > 0 || rows[1] < out;
  const up = isPart
    ? g.op('Slice', [whole, g.ints([rows[0]]), g.ints([rows[1]]), g.ints([0])])
    : whole;
  const reduced = g.once(`${port} reduced ${x}`, () => {
    const t = g.op('Gemm', [x, down], { transB: 1 });
    return g.op('Slice', [t, g.ints([0]), rowsToCompute(g, port, down), g.ints([0])]);
  });
  return g.op('Gemm', bias ? [reduced, up, bias] : [reduced, up], { transB: 1 });
}

/**
 * Returns `up (down * x)`, f32 [b, out, h, w] or, with rank 0, [b, out, 1, 1].
 *
 * @param convolve  applies a convolution with the layer's own stride and padding
 */
export function lowRankConv(
  g: Graph,
  port: string,
  convolve: (kernel: Value) => Value,
  inner: number,
  out: number,
  kernel: [number, number],
): Value {
  const [down, up] = inputs(g, port, inner, out, kernel);
  const end = rowsToCompute(g, port, down);
  const ends = g.op('Concat', [end, end], { axis: 0 });
  const t = g.op('Slice', [convolve(down), g.ints([0, 0]), ends, g.ints([2, 3])]);
  // Channels last and a 2-D right-hand side: a batched MatMul over 0 columns leaves all but its
  // first matrix unset in onnxruntime 1.30, this form is one matrix.
  const pixels = g.op('Transpose', [t], { perm: [0, 2, 3, 1] });
  const raised = g.op('MatMul', [pixels, g.op('Transpose', [up], { perm: [1, 0] })]);
  return g.op('Transpose', [raised], { perm: [0, 3, 1, 2] });
}
