/** Textual inversion embeddings as tensors: which of a file's belong to which text encoder. */
import { isWeightDtype } from '../../networks/checkpoint/dtype.ts';
import { quoteName } from '../../networks/checkpoint/errors.ts';
import {
  readFloat32,
  type SafetensorsFile,
  type TensorInfo,
} from '../../networks/checkpoint/safetensors.ts';
import type { LoraFile } from '../file.ts';
import { EmbeddingError } from './errors.ts';

/** Largest file that is taken for an embedding: 75 vectors for SDXL as f32 have 0.6 MB. */
export const MAX_EMBEDDING_BYTES = 64 * 2 ** 20;
/** Most vectors; a chunk of a prompt holds 75, trainers offer up to 75. */
export const MAX_VECTORS = 1024;

/** `single`: the one encoder of SD 1.x and 2.x; the others: SDXL's two. */
export type EmbeddingPart = 'single' | 'clip_l' | 'clip_g';

/** Width of each part that is there. */
export type EmbeddingWidths = Readonly<Partial<Record<EmbeddingPart, number>>>;

/** An embedding by its header. */
export interface EmbeddingShape {
  /** Rows of each part, at least 1. */
  vectors: number;
  widths: EmbeddingWidths;
  tensors: ReadonlyMap<EmbeddingPart, TensorInfo>;
}

/** What decides whether an embedding fits a checkpoint: one of its text encoders. */
export interface EncoderWidth {
  role: 'L' | 'H' | 'G';
  width: number;
}

/**
 * Finds the vectors among tensors: `clip_l` with `clip_g`, `string_to_param.*`, or the only tensor,
 * whatever its name (`emb_params`, diffusers' `<name>`).
 *
 * @param tensors  of a file, or of one embedding in a LoRA file, by names without the bundle's prefix
 * @throws EmbeddingError NO_VECTORS, SHAPE, DTYPE, TOO_LARGE
 */
export function findVectors(tensors: ReadonlyMap<string, TensorInfo>): EmbeddingShape {
  const parts = new Map<EmbeddingPart, TensorInfo>();
  const [l, g] = [tensors.get('clip_l'), tensors.get('clip_g')];
  if (l && g) parts.set('clip_l', l).set('clip_g', g);
  else {
    const named = [...tensors].filter(([name]) => /^(string_to_param\.|emb_params$)/.test(name));
    const [only, another] = named.length > 0 ? named : [...tensors];
    if (!only || another) {
      throw new EmbeddingError(
        'NO_VECTORS',
        `it has ${tensors.size} tensors and not the one or two of a textual inversion embedding`,
      );
    }
    parts.set('single', only[1]);
  }
  const sizes = [...parts].map(([part, info]) => [part, ...readSize(info)] as const);
  const [[, vectors] = ['single', 0]] = sizes;
  if (sizes.some(([, rows]) => rows !== vectors)) {
    throw new EmbeddingError('SHAPE', 'its clip_l and clip_g have different numbers of vectors');
  }
  const widths = Object.fromEntries(sizes.map(([part, , width]) => [part, width]));
  return { vectors, widths, tensors: parts };
}

/** Rows and columns of a tensor; a vector counts as one row. */
function readSize({ name, shape, dtype }: TensorInfo): [rows: number, width: number] {
  const [rows = 0, width = 0] = shape.length === 1 ? [1, ...shape] : shape;
  if (shape.length > 2 || rows < 1 || width < 1) {
    const size = `[${shape.join(', ')}]`;
    throw new EmbeddingError('SHAPE', `its ${quoteName(name)} is ${size} and no list of vectors`);
  }
  if (rows > MAX_VECTORS) {
    throw new EmbeddingError('TOO_LARGE', `it has ${rows} vectors and at most ${MAX_VECTORS}`);
  }
  if (!isWeightDtype(dtype)) {
    throw new EmbeddingError('DTYPE', `its ${quoteName(name)} is of type ${dtype}`);
  }
  return [rows, width];
}

/** Returns the embeddings that a LoRA file carries (`bundle_emb.<name>.…`), by name. */
export function listBundled({ file }: LoraFile): Map<string, Map<string, TensorInfo>> {
  const bundles = new Map<string, Map<string, TensorInfo>>();
  for (const [key, info] of file.tensors) {
    const [, name, rest] = /^bundle_emb\.([^.]+)\.(.+)$/.exec(key) ?? [];
    if (name === undefined || rest === undefined) continue;
    const own = bundles.get(name) ?? new Map<string, TensorInfo>();
    bundles.set(name, own.set(rest, info));
  }
  return bundles;
}

/** Which part an encoder takes. */
export function partFor(widths: EmbeddingWidths, role: EncoderWidth['role']): EmbeddingPart {
  if (widths.single !== undefined) return 'single';
  return role === 'G' ? 'clip_g' : 'clip_l';
}

/**
 * Whether an embedding is of the kind and the widths of a checkpoint's text encoders. SDXL's refiner
 * has only the second encoder and takes that part of a pair.
 */
export function fitsEncoders(widths: EmbeddingWidths, encoders: readonly EncoderWidth[]): boolean {
  const isPair = widths.single === undefined;
  const isOfKind = isPair ? encoders.some(({ role }) => role === 'G') : encoders.length === 1;
  return isOfKind && encoders.every(({ role, width }) => widths[partFor(widths, role)] === width);
}

/**
 * Reads vectors as f32 [vectors, width].
 *
 * @throws EmbeddingError NOT_FINITE; CheckpointError when the file changed or cannot be read
 */
export function readVectors(file: SafetensorsFile, info: TensorInfo): Float32Array {
  const values = readFloat32(file, info);
  if (!values.every(Number.isFinite)) {
    throw new EmbeddingError('NOT_FINITE', `its ${quoteName(info.name)} holds NaN or infinity`);
  }
  return values;
}
