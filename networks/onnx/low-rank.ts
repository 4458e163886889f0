/**
 * The low-rank inputs that every Linear and Conv carries: `y + up (scale · (down x))`.
 *
 * The rank is free and may be 0. With rank 0 the term is computed for a single row (or pixel) and
 * broadcast, so an unused input costs no pass over the activations. Each port has an input for
 * either factor; its few small numbers are parts of three inputs that all ports share, which saves
 * three nodes per port. `lora-feeds.ts` fills the inputs.
 */
import type { Graph, LoraPort, Value } from './graph.ts';

/** What all ports share: an input of each, in the order of `Graph.loraPorts`. */
export const COMMON = {
  /** i64 [ports]. */
  ranks: 'lora.ranks',
  /** i64 [sum of `endsOf`]: where Slices end; 1 for rank 0. */
  ends: 'lora.ends',
  /** f32 [sum of ranks]: factor of each rank. */
  scales: 'lora.scales',
} as const;

/** How many of `COMMON.ends` are a port's: a row, or a row and a column of pixels. */
export const endsOf = ({ kernel }: LoraPort): number => Math.max(1, kernel.length);

/** Names of a port's own inputs. */
export const portInputs = (layer: string) => ({ down: `${layer}.down`, up: `${layer}.up` });
/** Names of its parts of the shared ones. */
const portParts = (layer: string) => ({ end: `${layer}.end`, scale: `${layer}.scale` });

/**
 * Adds the layer's two inputs, once: f16 `<layer>.down [rank, in, …kernel]` and `<layer>.up [out, rank]`.
 *
 * Nothing is told of their shapes. For every value with a shape onnxruntime's planner looks among all
 * values given back before for one of the same shape; those of a free rank find none. Thousands of
 * them took longer to plan than SDXL's weights to read. So the parts of the shared inputs have none
 * either, and products are MatMul where there is no bias: a Gemm's result always has a shape, if only
 * of unknown sizes.
 *
 * @returns both as f32: widened in every run, which costs less than a percent of it, so that what is
 *   kept and handed over is as large as the file
 */
function openPort(g: Graph, port: LoraPort): { down: Value; up: Value } {
  const names = portInputs(port.layer);
  const widened = (name: string): Value => g.op('Cast', [g.input(name, 'f16', null)], { to: 1 });
  return {
    down: g.once(names.down, () => {
      g.loraPorts.push(port);
      return widened(names.down);
    }),
    up: g.once(names.up, () => widened(names.up)),
  };
}

/**
 * Returns `x factorᵀ` for x f32 [..., k] and a factor f32 [n, k]: one FusedMatMul on the CPU, where
 * onnxruntime joins the two. WebGPU knows no FusedMatMul.
 */
function timesTransposed(g: Graph, x: Value, factor: Value): Value {
  return g.op('MatMul', [x, g.op('Transpose', [factor], { perm: [1, 0] })]);
}

/**
 * Returns `(scale · x downᵀ) upᵀ + bias`, f32 [n, rows] or, with rank 0, [1, rows].
 *
 * @param x     f32 [n, in]
 * @param out   rows of the port's `up`
 * @param rows  the range of them that is wanted
 */
export function lowRankLinear(
  g: Graph,
  layer: string,
  x: Value,
  bias: Value | undefined,
  inner: number,
  out: number,
  rows: [from: number, to: number],
): Value {
  const { down, up: whole } = openPort(g, { layer, in: inner, out, kernel: [] });
  const { end, scale } = portParts(layer);
  const isPart = rows[0] > 0 || rows[1] < out;
  const up = isPart
    ? g.op('Slice', [whole, g.ints([rows[0]]), g.ints([rows[1]]), g.ints([0])])
    : whole;
  const reduced = g.once(`${layer} reduced ${x}`, () => {
    const t = timesTransposed(g, x, down);
    return g.op('Mul', [g.op('Slice', [t, g.ints([0]), end, g.ints([0])]), scale]);
  });
  return bias ? g.op('Gemm', [reduced, up, bias], { transB: 1 }) : timesTransposed(g, reduced, up);
}

/**
 * Returns `up (scale · (down * x))`, f32 [b, out, h, w] or, with rank 0, [b, out, 1, 1].
 *
 * @param convolve  applies a convolution with the layer's own stride and padding
 */
export function lowRankConv(
  g: Graph,
  layer: string,
  convolve: (kernel: Value) => Value,
  inner: number,
  out: number,
  kernel: [number, number],
): Value {
  const { down, up } = openPort(g, { layer, in: inner, out, kernel });
  const { end, scale } = portParts(layer);
  const t = g.op('Slice', [convolve(down), g.ints([0, 0]), end, g.ints([2, 3])]);
  // Channels last and a 2-D right-hand side: for 0 channels onnxruntime 1.30 leaves its result unset
  // as a 1x1 convolution, and all but the first matrix of a batched MatMul; this form is one matrix.
  const pixels = g.op('Mul', [g.op('Transpose', [t], { perm: [0, 2, 3, 1] }), scale]);
  return g.op('Transpose', [timesTransposed(g, pixels, up)], { perm: [0, 3, 1, 2] });
}

/** Gives every port its part of the shared inputs; call once, when all layers are written. */
export function splitCommonInputs(g: Graph): void {
  const ports = g.loraPorts;
  if (ports.length === 0) return;
  const sizes = ports.map(endsOf);
  const ranks = g.input(COMMON.ranks, 'i64', [ports.length]);
  const ends = g.input(COMMON.ends, 'i64', null);
  const scales = g.input(COMMON.scales, 'f32', null);
  const parts = ports.map(({ layer }) => portParts(layer));
  // Before all nodes that use them.
  g.model.nodes.unshift(
    split(
      [ends, g.ints(sizes)],
      parts.map(({ end }) => end),
    ),
    split(
      [scales, ranks],
      parts.map(({ scale }) => scale),
    ),
  );
}

function split(inputs: Value[], outputs: Value[]): Graph['model']['nodes'][number] {
  return { op: 'Split', domain: '', inputs, outputs, attributes: { axis: 0 } };
}
