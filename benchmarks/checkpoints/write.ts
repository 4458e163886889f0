/** Streams a list of tensors into a `.safetensors` file; memory does not grow with the file. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {
  allocateBits,
  encodeWeight,
  normalTable,
  type WeightBits,
  type WeightDtype,
  WeightRandom,
} from './random.ts';
import { countElements, type Fill, type TensorSpec } from './tensors.ts';

type Dtype = WeightDtype | 'I32' | 'I64';

const DTYPE_BYTES: Record<Dtype, number> = { I64: 8, I32: 4, F32: 4, F16: 2, BF16: 2 };

/** Weights are made and written in pieces of this many; even, as `WeightRandom.fill` wants. */
const PIECE_ELEMENTS = 1 << 22;

/** Tables of this many distinct (mean, std) are kept; a full-size model has about 40. */
const MAX_TABLES = 64;

export interface WriteOptions {
  dtype: WeightDtype;
  seed: number;
  /** `random`: norm weights from N(1, 0.1) and biases from N(0, 0.05) instead of ones and zeros. */
  norms: 'ones' | 'random';
  metadata: Record<string, string>;
}

export interface PlacedTensor extends TensorSpec {
  dtype: Dtype;
  /** Byte range within the data section. */
  begin: number;
  end: number;
}

/**
 * Places tensors as the safetensors library does: widest dtype first, then by key.
 *
 * @throws Error when a key comes twice
 */
export function layOut(tensors: readonly TensorSpec[], dtype: WeightDtype): PlacedTensor[] {
  const typed = tensors.map((tensor) => ({
    ...tensor,
    dtype: tensor.fill.kind === 'data' ? tensor.fill.dtype : dtype,
  }));
  typed.sort((x, y) => {
    const wider = DTYPE_BYTES[y.dtype] - DTYPE_BYTES[x.dtype];
    if (wider !== 0) return wider;
    return x.key < y.key ? -1 : 1;
  });
  let end = 0;
  return typed.map((tensor, index) => {
    if (typed[index + 1]?.key === tensor.key) throw new Error(`Tensor ${tensor.key} comes twice.`);
    const begin = end;
    end += countElements(tensor.shape) * DTYPE_BYTES[tensor.dtype];
    return { ...tensor, begin, end };
  });
}

function encodeHeader(placed: readonly PlacedTensor[], metadata: Record<string, string>): Buffer {
  const entries = placed.map(({ key, dtype, shape, begin, end }) => [
    key,
    { dtype, shape, data_offsets: [begin, end] },
  ]);
  const json = Buffer.from(
    JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }),
  );
  // Spaces up to a multiple of 8 keep the data section aligned.
  const header = Buffer.alloc(8 + 8 * Math.ceil(json.length / 8), ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  return header;
}

function encodeData(dtype: Dtype, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * DTYPE_BYTES[dtype]);
  values.forEach((value, i) => {
    if (dtype === 'I64') bytes.writeBigInt64LE(BigInt(value), i * 8);
    else if (dtype === 'I32') bytes.writeInt32LE(value, i * 4);
    else bytes.writeFloatLE(value, i * 4);
  });
  return bytes;
}

function distribution(
  fill: Exclude<Fill, { kind: 'data' }>,
  shape: readonly number[],
  norms: WriteOptions['norms'],
): { mean: number; std: number } {
  switch (fill.kind) {
    case 'normal':
      return fill;
    case 'fan-in':
      return { mean: 0, std: fill.gain / Math.sqrt(countElements(shape.slice(1))) };
    case 'norm-weight':
      return { mean: 1, std: norms === 'random' ? 0.1 : 0 };
    case 'norm-bias':
      return { mean: 0, std: norms === 'random' ? 0.05 : 0 };
  }
}

/**
 * Writes the tensors beside `file` and renames, so that a file of that name is always whole.
 *
 * @returns size of the file in bytes
 */
export function writeTensors(
  file: string,
  tensors: readonly TensorSpec[],
  options: WriteOptions,
): number {
  const { dtype } = options;
  const placed = layOut(tensors, dtype);
  const header = encodeHeader(placed, options.metadata);
  fs.mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  const part = `${file}.${randomUUID()}.part`;
  const handle = fs.openSync(part, 'w');
  const put = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(handle, bytes, at);
  };
  const tables = new Map<string, WeightBits>();
  const tableOf = (mean: number, std: number): WeightBits => {
    const name = `${mean} ${std}`;
    const table = tables.get(name) ?? normalTable(dtype, mean, std);
    if (tables.size >= MAX_TABLES) tables.clear();
    tables.set(name, table);
    return table;
  };
  const piece = allocateBits(dtype, PIECE_ELEMENTS);
  // Small tensors are gathered in the piece; one write per tensor would take most of the time.
  let filled = 0;
  const flush = () => {
    put(new Uint8Array(piece.buffer, 0, filled * DTYPE_BYTES[dtype]));
    filled = 0;
  };
  try {
    put(header);
    for (const tensor of placed) {
      if (tensor.fill.kind === 'data') {
        flush();
        put(encodeData(tensor.dtype, tensor.fill.values));
        continue;
      }
      const { mean, std } = distribution(tensor.fill, tensor.shape, options.norms);
      const random = std > 0 ? new WeightRandom(tensor.key, options.seed) : undefined;
      let left = countElements(tensor.shape);
      if (filled + left > PIECE_ELEMENTS) flush();
      while (left > 0) {
        if (filled === PIECE_ELEMENTS) flush();
        const length = Math.min(left, PIECE_ELEMENTS - filled);
        const target = piece.subarray(filled, filled + length);
        if (random) random.fill(target, tableOf(mean, std));
        else target.fill(encodeWeight(dtype, mean));
        filled += length;
        left -= length;
      }
    }
    flush();
    fs.renameSync(part, file);
  } finally {
    fs.closeSync(handle);
    fs.rmSync(part, { force: true });
  }
  return header.length + (placed.at(-1)?.end ?? 0);
}
