/** Modules that are not low-rank, merged into the weights they change. */
import { setImmediate } from 'node:timers/promises';
import { CheckpointError } from '../networks/checkpoint/errors.ts';
import {
  getTensor,
  readFloat32,
  type SafetensorsFile,
} from '../networks/checkpoint/safetensors.ts';
import { LoraError } from './errors.ts';
import { isForLatentOnly, LATENT_CHANNELS } from './factors.ts';
import { type LoraFile, type LoraModule, readPart, readScale } from './file.ts';
import { matrixOf, type Tensor } from './kinds/algebra.ts';
import { decompose } from './kinds/dora.ts';
import { full } from './kinds/full.ts';
import { glora } from './kinds/glora.ts';
import { ia3, isOnOutput } from './kinds/ia3.ts';
import { type KindRule, need, type Parts } from './kinds/kind.ts';
import { loha } from './kinds/loha.ts';
import { lokr } from './kinds/lokr.ts';
import { lora } from './kinds/lora.ts';
import { norm } from './kinds/norm.ts';
import { oft } from './kinds/oft.ts';
import type { Layer } from './layers.ts';
import { columnsOf } from './module-sizes.ts';
import type { Kind, Part } from './parts.ts';

const KINDS: Record<Kind, KindRule> = { lora, loha, lokr, ia3, full, norm, glora, oft };

/** A module's change of one layer at some weight. */
export interface Merge {
  layer: Layer;
  lora: LoraFile;
  module: LoraModule;
  /** The tag's weight; not 0. */
  weight: number;
  /** Ranks to use, from the first; null for all. */
  dyn: number | null;
}

/** A layer's weight and bias. */
export interface Merged {
  weight: Float32Array;
  /** null: not changed. */
  bias: Float32Array | null;
}

/**
 * Returns W + weight · scale · ΔW of a module, and the bias where that changes, too.
 *
 * With dora_scale: W + weight · (V · dora_scale / ‖V‖ - W), V = W + scale · ΔW.
 *
 * @param weight  f32 [out, in, …kernel], or [n] of a norm; not changed
 * @param bias    f32 [out]; null when the layer has none
 * @param parts   the module's tensors
 * @param scale   `scale`, alpha / dim or 1
 * @throws LoraError SHAPE_CONTRADICTION, NOT_FINITE
 */
export function mergeModule(
  kind: Kind,
  weight: Tensor,
  bias: Float32Array | null,
  parts: Parts,
  { scale, multiplier }: { scale: number; multiplier: number },
): Merged {
  let change = KINDS[kind].delta(weight, parts);
  const added = parts.get('bias')?.data;
  if (added && added.length !== change.length) throw contradiction('bias');
  change = change.map((value, i) => (value + (added?.[i] ?? 0)) * scale);
  if (parts.has('dora_scale')) change = decompose(weight, change, parts);
  const merged = weight.data.map((value, i) => value + multiplier * (change[i] as number));
  const stated = (parts.get('diff_b') ?? parts.get('b_norm'))?.data;
  const difference = stated ?? (bias && KINDS[kind].biasDelta?.(bias, parts));
  if (!difference) return { weight: merged, bias: null };
  if (difference.length !== weight.shape[0]) throw contradiction('bias difference');
  const before = bias ?? new Float32Array(difference.length);
  return {
    weight: merged,
    bias: before.map((value, i) => value + multiplier * (difference[i] as number)),
  };
}

function contradiction(what: string): LoraError {
  return new LoraError('SHAPE_CONTRADICTION', `its ${what} does not fit the layer`);
}

/** The scale of a module, as `mergeModule` wants it. */
export function scaleOf(file: LoraFile, module: LoraModule, parts: Parts): number {
  return readScale(file, module, KINDS[module.kind].dim(parts));
}

/** Reads all tensors of a module. @throws LoraError NOT_FINITE; CheckpointError */
export function readParts(file: LoraFile, module: LoraModule): Parts {
  const parts = new Map<Part, Tensor>();
  for (const [part, { shape }] of module.parts) {
    parts.set(part, { data: readPart(file, module, part) as Float32Array, shape });
  }
  return parts;
}

/**
 * Merges modules, in order, into the tensors of the checkpoint that they touch.
 *
 * Kinds that look at W (IA3, GLoRA, OFT, DoRA) see what the modules before them made of it, as in the
 * web UI: what stands before such a module in the same layer has to be among the merges, too.
 *
 * Other work of this process goes on between two modules.
 *
 * @param checkpoint  where the weights are
 * @returns the replaced tensors by name, f32, in the shapes they have in the checkpoint
 * @throws MergeError when a LoRA cannot be merged; CheckpointError when the checkpoint cannot be read
 */
export async function mergeTensors(
  checkpoint: SafetensorsFile,
  merges: readonly Merge[],
): Promise<Map<string, Tensor>> {
  const replaced = new Map<string, Tensor>();
  const tensorOf = (name: string): Tensor => {
    const known = replaced.get(name);
    if (known) return known;
    const info = getTensor(checkpoint, name);
    // A copy: the bytes read may be the file's own f32 numbers, and rows are written in place.
    const tensor = { data: readFloat32(checkpoint, info).slice(), shape: info.shape };
    replaced.set(name, tensor);
    return tensor;
  };
  for (const merge of merges) {
    const { layer, lora } = merge;
    const rows = rowsOf(tensorOf(layer.weight), layer);
    const bias = layer.bias !== null && changesBias(merge) ? tensorOf(layer.bias) : null;
    try {
      mergeInto(merge, rows, bias && rowsOf(bias, layer));
    } catch (error) {
      const isOfFile = error instanceof LoraError || error instanceof CheckpointError;
      throw isOfFile ? new MergeError(lora, error) : error;
    }
    await setImmediate();
  }
  return replaced;
}

/** A LoRA that turned out to be unmergeable: which one, and why (LoraError or CheckpointError). */
export class MergeError extends Error {
  override readonly name = 'MergeError';
  readonly lora: LoraFile;
  constructor(lora: LoraFile, cause: LoraError | CheckpointError) {
    super(cause.message, { cause });
    this.lora = lora;
  }
}

/** Whether a merge replaces the layer's bias, too. */
export function changesBias({ layer, module: { parts } }: Merge): boolean {
  const factors = parts.get('ia3_l');
  const scales = layer.bias !== null && factors !== undefined && isOnOutput(factors, layer.out);
  return scales || parts.has('diff_b') || parts.has('b_norm');
}

/** Merges one module into the layer's rows of weight and bias. @throws LoraError, CheckpointError */
function mergeInto(merge: Merge, rows: Float32Array, bias: Float32Array | null): void {
  const { layer, lora, module, weight: multiplier, dyn } = merge;
  if (changesBias(merge) && !bias) throw contradiction('bias difference');
  const whole = readParts(lora, module);
  // alpha is of all ranks.
  const scale = scaleOf(lora, module, whole);
  const parts = dyn === null ? whole : cutRanks(whole, dyn);
  const columns = columnsOf(module) ?? 0;
  const isNarrow = isForLatentOnly(columns, layer);
  const own = isNarrow
    ? {
        data: cutColumns(rows, layer, columns),
        shape: [layer.out, LATENT_CHANNELS, ...layer.kernel],
      }
    : { data: rows, shape: shapeOf(layer) };
  const merged = mergeModule(module.kind, own, bias, parts, { scale, multiplier });
  if (isNarrow) writeColumns(rows, layer, merged.weight, columns);
  else rows.set(merged.weight);
  if (bias && merged.bias) bias.set(merged.bias);
}

/** The first numbers of each row. */
function cutColumns(rows: Float32Array, { out }: Layer, columns: number): Float32Array {
  const stride = rows.length / out;
  const cut = new Float32Array(out * columns);
  for (let i = 0; i < out; i++) {
    cut.set(rows.subarray(i * stride, i * stride + columns), i * columns);
  }
  return cut;
}

function writeColumns(
  rows: Float32Array,
  { out }: Layer,
  values: Float32Array,
  columns: number,
): void {
  const stride = rows.length / out;
  for (let i = 0; i < out; i++) {
    rows.set(values.subarray(i * columns, (i + 1) * columns), i * stride);
  }
}

/** The first ranks of a module of kind `lora`. */
function cutRanks(parts: Parts, dyn: number): Parts {
  const [up, down] = [need(parts, 'up'), need(parts, 'down')];
  const [out, rank] = matrixOf(up);
  const kept = Math.min(dyn, rank);
  const columns = new Float32Array(out * kept);
  for (let row = 0; row < out; row++) {
    columns.set(up.data.subarray(row * rank, row * rank + kept), row * kept);
  }
  const rows = down.data.subarray(0, (down.data.length / rank) * kept);
  return new Map(parts)
    .set('up', { data: columns, shape: [out, kept] })
    .set('down', { data: rows, shape: [kept, ...down.shape.slice(1)] });
}

/** The layer's rows of a tensor: a view. */
function rowsOf(tensor: Tensor, { rows }: Layer): Float32Array {
  if (!rows) return tensor.data;
  const [, columns] = matrixOf(tensor);
  return tensor.data.subarray(rows[0] * columns, rows[1] * columns);
}

function shapeOf({ isNorm, out, in: inner, kernel }: Layer): number[] {
  return isNorm ? [out] : [out, inner, ...kernel];
}
