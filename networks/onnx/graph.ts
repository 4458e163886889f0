/**
 * A graph under construction: nodes are added in the order they run, values are their names.
 *
 * Weights are named as in the checkpoint and stay there: an initializer is a byte range of the
 * file. What is not f32 passes a Cast, which onnxruntime folds once when the session is made.
 */
import type { TensorInfo } from '../checkpoint/safetensors.ts';
import type { Attribute, ElementType, Model, Port } from './proto.ts';

/** Name of a value in the graph. */
export type Value = string;

/** What a weight lookup needs of a checkpoint: its file name and its tensors. */
export interface WeightFile {
  /** Bare file name below the session's folder. */
  location: string;
  tensors: ReadonlyMap<string, TensorInfo>;
  /** Whether a tensor holds nothing but zeros; without it none is taken to. */
  isZero?: (tensor: TensorInfo) => boolean;
  /** Names of tensors that are not taken from the file but fed to every run, as f32. */
  replaced?: ReadonlySet<string>;
}

/** An input that stands for a weight, or for some rows of it. */
export interface WeightInput {
  input: string;
  /** Full name of the tensor. */
  tensor: string;
  /** Which of its numbers. */
  from: number;
  to: number;
  shape: readonly number[];
}

/** A layer that has low-rank inputs; see `low-rank.ts`. */
export interface LoraPort {
  /**
   * The layer's name in the checkpoint, without the network's prefix and `.weight`; the three parts
   * of a fused in_proj are called q_proj, k_proj and v_proj.
   */
  layer: string;
  in: number;
  out: number;
  /** Empty for a Linear, [kh, kw] for a Conv. */
  kernel: number[];
}

/** A layer of self-attention within tiles; see `tiles.ts`. */
export interface TiledLayer {
  /** Name in the checkpoint, without the network's prefix. */
  name: string;
  /** Channels of its tokens. */
  channels: number;
  /** Times that the latent was halved before it. */
  level: number;
}

const WEIGHT_TYPES: Partial<Record<TensorInfo['dtype'], ElementType>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};

/** A network cannot be written because the checkpoint lacks what it needs. */
export class GraphError extends Error {
  override name = 'GraphError';
  readonly code: 'TENSOR_MISSING' | 'TENSOR_TYPE' | 'TENSOR_SHAPE';
  constructor(code: GraphError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export class Graph {
  readonly model: Model = { nodes: [], initializers: [], inputs: [], outputs: [] };
  readonly loraPorts: LoraPort[] = [];
  readonly tiledLayers: TiledLayer[] = [];
  /** What stands for replaced tensors. */
  readonly weightInputs: WeightInput[] = [];
  /** Whether Linear and Conv layers get their two low-rank inputs. */
  readonly carriesLora: boolean;
  /** Whether convolutions wrap around the edges, for pictures that tile. */
  readonly circular: boolean;
  readonly #weights: WeightFile;
  readonly #prefix: string;
  readonly #made = new Map<string, Value>();
  #count = 0;

  /** @param prefix what every weight's name starts with, e.g. `model.diffusion_model.` */
  constructor(
    weights: WeightFile,
    prefix: string,
    options: { carriesLora?: boolean; circular?: boolean } = {},
  ) {
    this.#weights = weights;
    this.#prefix = prefix;
    this.carriesLora = options.carriesLora ?? false;
    this.circular = options.circular ?? false;
  }

  input(name: string, type: ElementType, shape: Port['shape']): Value {
    this.model.inputs.push({ name, type, shape });
    return name;
  }

  output(name: string, value: Value, type: ElementType, shape: Port['shape']): void {
    this.model.nodes.push({
      op: 'Identity',
      domain: '',
      inputs: [value],
      outputs: [name],
      attributes: {},
    });
    this.model.outputs.push({ name, type, shape });
  }

  /** Adds a node of ai.onnx (or `Domain:Op` as `com.microsoft:Gelu`) and returns its first output. */
  op(op: string, inputs: Value[], attributes: Record<string, Attribute> = {}): Value {
    return this.ops(op, inputs, 1, attributes)[0] as Value;
  }

  /** As `op`, with `count` outputs. */
  ops(
    op: string,
    inputs: Value[],
    count: number,
    attributes: Record<string, Attribute> = {},
  ): Value[] {
    const [domain, type] = op.includes(':') ? (op.split(':') as [string, string]) : ['', op];
    const outputs = Array.from({ length: count }, () => `v${this.#count++}`);
    this.model.nodes.push({ op: type, domain, inputs, outputs, attributes });
    return outputs;
  }

  /** Returns the result of `make`, which runs once per key: for shapes and constants used often. */
  once(key: string, make: () => Value): Value {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const value = make();
    this.#made.set(key, value);
    return value;
  }

  /** An i64 vector constant. */
  ints(values: readonly number[]): Value {
    return this.once(`i64 ${values.join()}`, () =>
      this.#constant('i64', [values.length], BigInt64Array.from(values, BigInt)),
    );
  }

  /** An f32 constant; a scalar when `shape` is empty. */
  floats(values: readonly number[] | Float32Array, shape: number[]): Value {
    return this.#constant('f32', shape, Float32Array.from(values));
  }

  #constant(type: ElementType, shape: number[], data: ArrayBufferView): Value {
    const name = `c${this.#count++}`;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.model.initializers.push({ name, type, shape, data: bytes });
    return name;
  }

  /** Bytes of all weights as f32. */
  get weightBytes(): number {
    const elements = this.model.initializers.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    return 4 * elements.reduce((sum, count) => sum + count, 0);
  }

  hasWeight(name: string): boolean {
    return this.#weights.tensors.has(this.#prefix + name);
  }

  /** Whether a layer's weight, and its bias where it has one, are all zeros: its output is zero. */
  isZeroLayer(name: string): boolean {
    const { isZero } = this.#weights;
    if (!isZero) return false;
    const bias = this.#weights.tensors.get(`${this.#prefix}${name}.bias`);
    return isZero(this.#tensor(`${name}.weight`)) && (!bias || isZero(bias));
  }

  /** The shape of a weight as the checkpoint has it. @throws GraphError when it is missing */
  shapeOf(name: string): number[] {
    return this.#tensor(name).shape;
  }

  /**
   * Returns a weight as f32.
   *
   * @param view  `rows: [from, to]` takes a range of the first dimension, `shape` reads the same
   *              bytes under another shape of equal size
   * @throws GraphError when the tensor is missing or of a type that is no weight
   */
  weight(name: string, view: { rows?: [from: number, to: number]; shape?: number[] } = {}): Value {
    const tensor = this.#tensor(name);
    const type = WEIGHT_TYPES[tensor.dtype];
    if (!type)
      throw new GraphError(
        'TENSOR_TYPE',
        `Expected F32, F16 or BF16 for tensor ${tensor.name} but found ${tensor.dtype}`,
      );
    const total = tensor.shape[0] ?? 1;
    const [from, to] = view.rows ?? [0, total];
    const rowBytes = tensor.bytes / total;
    const shape = view.shape ?? (view.rows ? [to - from, ...tensor.shape.slice(1)] : tensor.shape);
    return this.once(`weight ${name} ${from} ${shape.join()}`, () => {
      const value = `${name}[${from}:${to}]`;
      if (this.#weights.replaced?.has(tensor.name)) {
        const row = shape.reduce((size, side) => size * side, 1) / (to - from);
        const range = { from: from * row, to: to * row };
        this.weightInputs.push({ input: value, tensor: tensor.name, ...range, shape });
        return this.input(value, 'f32', shape);
      }
      this.model.initializers.push({
        name: value,
        type,
        shape,
        data: {
          location: this.#weights.location,
          offset: tensor.offset + from * rowBytes,
          bytes: (to - from) * rowBytes,
        },
      });
      return type === 'f32' ? value : this.op('Cast', [value], { to: 1 });
    });
  }

  #tensor(name: string): TensorInfo {
    const tensor = this.#weights.tensors.get(this.#prefix + name);
    if (!tensor)
      throw new GraphError(
        'TENSOR_MISSING',
        `Expected tensor ${this.#prefix}${name} in ${this.#weights.location} but it is not there`,
      );
    return tensor;
  }
}
