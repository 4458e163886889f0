/**
 * Floating-point operations of a network, counted from the shapes that onnxruntime's profiler
 * reports for every node of a real run; a multiply-add is two.
 *
 * A full-size run would take as long as the thing that is measured, so small ones are counted: work
 * is a + b n + c n² in the number n of latent cells (weights alone, layers, self-attention), and
 * three sizes determine it.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import type { Graph } from '../../networks/onnx/graph.ts';
import { encodeModel } from '../../networks/onnx/proto.ts';
import { Network, type TensorData } from '../../networks/session.ts';
import { writeUnet } from '../../networks/unet.ts';
import { writeVaeDecoder } from '../../networks/vae.ts';
import { countValues } from '../../pipelines/sampling/latents.ts';
import { openModel, type Subject, unetFeeds } from '../subject.ts';

/** Operations of one run, by kind of node. */
export interface Flops {
  conv: number;
  /** Gemm and MatMul. */
  gemm: number;
  attention: number;
}

/** Sizes in latent cells that a UNet of four levels halves without a rest. */
const SAMPLES: [height: number, width: number][] = [
  [8, 8],
  [8, 16],
  [16, 16],
];

type Shapes = Record<string, number[]>[];
interface ProfileEvent {
  cat: string;
  name: string;
  args?: { op_name?: string; input_type_shape?: Shapes; output_type_shape?: Shapes };
}

/** Adds a node's operations to `flops`; nodes that only move or scale values count nothing. */
function addNode(flops: Flops, { args = {} }: ProfileEvent): void {
  const shapesOf = (shapes: Shapes = []) => shapes.map((one) => Object.values(one)[0] ?? []);
  const [x = [], w = []] = shapesOf(args.input_type_shape);
  const [y = []] = shapesOf(args.output_type_shape);
  switch (args.op_name) {
    case 'Conv':
      flops.conv += 2 * countValues(y) * countValues(w.slice(1));
      break;
    case 'Gemm':
    case 'MatMul':
      flops.gemm += 2 * countValues(y) * (x.at(-1) ?? 0);
      break;
    case 'MultiHeadAttention': {
      const [batch = 0, tokens = 0, width = 0] = x;
      // Scores and their mix of the values, each tokens x source tokens x width.
      flops.attention += 4 * batch * tokens * (w[1] ?? 0) * width;
    }
  }
}

/** Runs a graph once under the profiler. */
export async function countRun(
  graph: Graph,
  file: string,
  feeds: Record<string, TensorData>,
  output: string,
): Promise<Flops> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-profile-'));
  try {
    const session = await InferenceSession.create(encodeModel(graph.model), {
      // As the graph is written: nothing fused, no weights converted ahead.
      graphOptimizationLevel: 'disabled',
      enableProfiling: true,
      profileFilePrefix: path.join(folder, 'run'),
      logSeverityLevel: 3,
      extra: { session: { model_external_initializers_file_folder_path: path.dirname(file) } },
    });
    await new Network('counted network', session, graph).run(feeds, [output]);
    session.endProfiling();
    await session.release();
    const [name = ''] = fs.readdirSync(folder);
    const events: ProfileEvent[] = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'));
    const flops: Flops = { conv: 0, gemm: 0, attention: 0 };
    for (const event of events)
      if (event.cat === 'Node' && event.name.endsWith('_kernel_time')) addNode(flops, event);
    return flops;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** The parabola through three points, at n (Newton's divided differences). */
function extrapolate(points: readonly [n: number, value: number][], n: number): number {
  const [[n0, y0], [n1, y1], [n2, y2]] = points as [
    [number, number],
    [number, number],
    [number, number],
  ];
  const slope = (y1 - y0) / (n1 - n0);
  const bend = ((y2 - y1) / (n2 - n1) - slope) / (n2 - n0);
  return y0 + slope * (n - n0) + bend * (n - n0) * (n - n1);
}

/**
 * Returns the operations at each of the sizes, from runs at three small ones.
 *
 * @param count  operations of a run at a size in latent cells
 * @param cells  latent cells in all, height x width
 */
export async function countSizes(
  count: (height: number, width: number) => Promise<Flops>,
  cells: readonly number[],
): Promise<Flops[]> {
  if (cells.length === 0) return [];
  const samples: [number, Flops][] = [];
  for (const [height, width] of SAMPLES) samples.push([height * width, await count(height, width)]);
  return cells.map((n) => {
    const at = (kind: keyof Flops) =>
      extrapolate(
        samples.map(([cell, flops]) => [cell, flops[kind]]),
        n,
      );
    return { conv: at('conv'), gemm: at('gemm'), attention: at('attention') };
  });
}

/** Counts UNet evaluations of batch 1 and VAE decodes, by number of latent cells. */
export async function countFlops(options: {
  subject: Subject;
  unetCells: number[];
  vaeCells: number[];
}): Promise<{ unet: Flops[]; vae: Flops[] }> {
  const model = await openModel(options.subject);
  const { config, vae } = model;
  const file = await readHeader(model.checkpoint.path);
  const weights = { location: path.basename(file.path), tensors: file.tensors };
  const unet = writeUnet(weights, config.unet);
  const decoder = writeVaeDecoder(weights, vae);
  return {
    unet: await countSizes((height, width) => {
      const feeds = unetFeeds(config.unet, { batch: 1, height, width });
      return countRun(unet, file.path, feeds, 'out');
    }, options.unetCells),
    vae: await countSizes((height, width) => {
      const shape = [1, vae.zChannels, height, width];
      const data = new Float32Array(countValues(shape));
      return countRun(decoder, file.path, { latent: { type: 'float32', data, shape } }, 'pixels');
    }, options.vaeCells),
  };
}
