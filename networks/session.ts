/**
 * Networks that can be run: the one place that knows onnxruntime.
 *
 * Choices measured on a 2-core machine (benchmarks/README.md): optimisation level "extended" instead
 * of "all", because the blocked convolution layout of "all" is no faster here and takes 10 s per
 * 2 GB to prepare; prepacking off, because it is no faster either and doubles the load time.
 */
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Graph, LoraPort, TiledLayer, WeightInput } from './onnx/graph.ts';
import { emptyFeeds, type LoraFeeds, type PortTensor, portFeeds } from './onnx/lora-feeds.ts';
import { encodeModel } from './onnx/proto.ts';
import { readAhead, weightRanges } from './read-ahead.ts';

export type { LoraFeed, LoraFeeds } from './onnx/lora-feeds.ts';

/** Where networks run, as `--device` names it. */
export type Device = 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml';

export interface SessionOptions {
  device: Device;
  /** Threads of one network's pool; one network runs at a time. */
  threads: number;
  /**
   * Keep half-precision weights as they are, mapped from the file, and convert them anew in every
   * run: less memory and no load time, slower runs.
   */
  keepsHalf?: boolean;
  /**
   * Lay convolutions out in blocks of channels, onnxruntime's level "all": 12 % faster in the VAE,
   * whose few weights are prepared in 0.2 s.
   */
  blocksConvolutions?: boolean;
  /** Whether memory of past runs is kept for the next one; default true. */
  hasArena?: boolean;
}

export type TensorData =
  | { type: 'float32'; data: Float32Array; shape: readonly number[] }
  | { type: 'int64'; data: BigInt64Array; shape: readonly number[] }
  | { type: 'bool' | 'uint8'; data: Uint8Array; shape: readonly number[] };

export type Outputs = Record<string, { data: Float32Array | Uint8Array; shape: readonly number[] }>;

/** A session could not be made or run; the message is onnxruntime's, with the network's name. */
export class SessionError extends Error {
  override name = 'SessionError';
  readonly code: 'SESSION_CREATE' | 'SESSION_RUN';
  constructor(code: SessionError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** A network in memory. */
export class Network {
  readonly ports: readonly LoraPort[];
  /** Layers that every run is fed tiles for; see `tileFeed`. */
  readonly tiledLayers: readonly TiledLayer[];
  readonly #name: string;
  readonly #session: InferenceSession;
  readonly #weightInputs: readonly WeightInput[];
  /** What every run is fed with: rank-0 factors and what goes with them, and replaced weights. */
  #base: Record<string, Tensor>;

  constructor(
    name: string,
    session: InferenceSession,
    {
      loraPorts,
      weightInputs,
      tiledLayers,
    }: Pick<Graph, 'loraPorts' | 'weightInputs' | 'tiledLayers'>,
  ) {
    this.#name = name;
    this.#session = session;
    this.ports = loraPorts;
    this.tiledLayers = tiledLayers;
    this.#weightInputs = weightInputs;
    this.#base = toTensors(emptyFeeds(loraPorts));
  }

  /**
   * Runs the network; other JavaScript waits until it is done.
   *
   * @param feeds    every input but the LoRA pairs; the arrays are read, not copied
   * @param outputs  names of the outputs wanted
   * @param lora     factors of the layers that have any
   * @throws SessionError
   */
  async run(
    feeds: Record<string, TensorData>,
    outputs: readonly string[],
    lora?: LoraFeeds,
  ): Promise<Outputs> {
    const all: Record<string, Tensor> = { ...this.#base };
    for (const [name, t] of Object.entries(feeds)) all[name] = new Tensor(t.type, t.data, t.shape);
    if (lora && lora.size > 0) Object.assign(all, toTensors(portFeeds(this.ports, lora)));
    try {
      const results = await this.#session.run(all, outputs);
      return Object.fromEntries(
        outputs.map((name) => {
          const tensor = results[name] as Tensor;
          return [name, { data: tensor.data as Float32Array | Uint8Array, shape: tensor.dims }];
        }),
      );
    } catch (error) {
      throw new SessionError('SESSION_RUN', `${this.#name}: ${messageOf(error)}`, error);
    }
  }

  /**
   * Sets the weights that the graph was written to be fed with; needed before the first run.
   *
   * @param replaced  f32 by full name of the tensor, in its shape; read in every run, not copied
   */
  useWeights(replaced: ReadonlyMap<string, Float32Array>): void {
    this.#base = { ...this.#base };
    for (const { input, tensor, from, to, shape } of this.#weightInputs) {
      const values = replaced.get(tensor) as Float32Array;
      this.#base[input] = new Tensor('float32', values.subarray(from, to), shape);
    }
  }

  /** Frees the weights and the memory arena. */
  async release(): Promise<void> {
    await this.#session.release();
  }
}

function toTensors(feeds: Record<string, PortTensor>): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const [name, t] of Object.entries(feeds))
    tensors[name] = new Tensor(t.type, t.data, t.shape);
  return tensors;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function levelOf({ keepsHalf, blocksConvolutions }: SessionOptions) {
  // Folding constants is what would convert half-precision weights for good.
  if (keepsHalf) return 'disabled';
  return blocksConvolutions ? 'all' : 'extended';
}

/**
 * Makes a session of a graph.
 *
 * @param name  what the network is called in errors, e.g. `unet of model.safetensors`
 * @param file  real path of the file that the graph's weights are byte ranges of
 * @throws SessionError
 */
export async function createNetwork(
  name: string,
  graph: Graph,
  file: string,
  options: SessionOptions,
): Promise<Network> {
  void readAhead(file, weightRanges(graph.model));
  try {
    const session = await InferenceSession.create(encodeModel(graph.model), {
      executionProviders: options.device === 'cpu' ? ['cpu'] : [options.device, 'cpu'],
      graphOptimizationLevel: levelOf(options),
      intraOpNumThreads: options.threads,
      interOpNumThreads: 1,
      enableCpuMemArena: options.hasArena ?? true,
      logSeverityLevel: 3,
      extra: {
        session: {
          model_external_initializers_file_folder_path: path.dirname(file),
          disable_prepacking: '1',
        },
      },
    });
    return new Network(name, session, graph);
  } catch (error) {
    throw new SessionError('SESSION_CREATE', `${name}: ${messageOf(error)}`, error);
  }
}
