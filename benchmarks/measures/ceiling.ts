/** What the machine can do: Conv and Gemm alone, in the sizes that UNets have. */
import { Graph } from '../../networks/onnx/graph.ts';
import { createNetwork } from '../../networks/session.ts';
import { countValues } from '../../pipelines/sampling/latents.ts';
import { randomValues } from '../subject.ts';

/** [channels in, channels out, pixels a side] of 3x3 convolutions. */
const CONVS = [
  [320, 320, 64],
  [640, 320, 64],
  [640, 640, 32],
  [1280, 640, 32],
  [1280, 1280, 16],
  [640, 640, 64],
] as const;
/** [rows, in, out] of linear layers. */
const GEMMS = [
  [4096, 320, 1280],
  [4096, 1280, 320],
  [1024, 640, 2560],
  [1024, 2560, 640],
  [256, 5120, 1280],
  [4096, 640, 2560],
] as const;
/** Side and width are divided by this for a smoke run. */
const TINY_DIVISOR = 8;

export interface CeilingRate {
  shape: string;
  /** Of the fastest run. */
  gflops: number;
}

export interface Ceiling {
  conv: CeilingRate[];
  gemm: CeilingRate[];
}

/** A graph without a checkpoint; the slice keeps the copy of the output out of the time. */
function bareGraph(shape: number[], add: (g: Graph, x: string) => string): Graph {
  const g = new Graph({ location: '', tensors: new Map() }, '');
  const y = add(g, g.input('x', 'f32', shape));
  const corner = g.op('Slice', [y, g.ints([0, 0]), g.ints([1, 1]), g.ints([0, 1])]);
  g.output('y', corner, 'f32', new Array(shape.length).fill('n'));
  return g;
}

async function bestRate(
  name: string,
  graph: Graph,
  flop: number,
  { threads, repeat }: { threads: number; repeat: number },
): Promise<CeilingRate> {
  const network = await createNetwork(name, graph, process.execPath, { device: 'cpu', threads });
  const shape = graph.model.inputs[0]?.shape as number[];
  const data = randomValues(countValues(shape));
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < repeat; run++) {
    const start = performance.now();
    await network.run({ x: { type: 'float32', data, shape } }, ['y']);
    best = Math.min(best, performance.now() - start);
  }
  await network.release();
  return { shape: name, gflops: flop / best / 1e6 };
}

/**
 * Measures the best rate of each shape with the session options of the networks.
 *
 * @param repeat  runs per shape
 */
export async function measureCeiling(options: {
  threads: number;
  repeat: number;
  isTiny: boolean;
}): Promise<Ceiling> {
  const shrink = (n: number) => (options.isTiny ? n / TINY_DIVISOR : n);
  const ceiling: Ceiling = { conv: [], gemm: [] };
  for (const [inner, out, side] of CONVS.map((shape) => shape.map(shrink))) {
    const [i, o, s] = [inner as number, out as number, side as number];
    const graph = bareGraph([1, i, s, s], (g, x) =>
      g.op('Conv', [x, g.floats(randomValues(o * i * 9), [o, i, 3, 3])], {
        kernel_shape: [3, 3],
        pads: [1, 1, 1, 1],
      }),
    );
    const flop = 2 * 9 * i * o * s * s;
    ceiling.conv.push(await bestRate(`${i} -> ${o}, ${s}x${s}`, graph, flop, options));
  }
  for (const [rows, inner, out] of GEMMS.map((shape) => shape.map(shrink))) {
    const [r, i, o] = [rows as number, inner as number, out as number];
    const graph = bareGraph([r, i], (g, x) =>
      g.op('Gemm', [x, g.floats(randomValues(o * i), [o, i])], { transB: 1 }),
    );
    ceiling.gemm.push(await bestRate(`${r} x ${i} -> ${o}`, graph, 2 * r * i * o, options));
  }
  return ceiling;
}
