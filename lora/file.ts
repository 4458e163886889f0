/** A LoRA file's header, sorted by module. The data is read later, by `factors.ts` and `kinds/`. */
import { isWeightDtype } from '../networks/checkpoint/dtype.ts';
import { quoteName } from '../networks/checkpoint/errors.ts';
import { areFinite } from '../networks/checkpoint/half.ts';
import {
  readFloat32,
  readHeader,
  readTensor,
  type SafetensorsFile,
  type TensorInfo,
} from '../networks/checkpoint/safetensors.ts';
import { adapterScale } from './adapter-metadata.ts';
import { LoraError } from './errors.ts';
import { type Kind, kindOf, type Part, splitKey } from './parts.ts';

/** Largest file that is taken for a LoRA. SDXL with every layer at rank 128 in float32 has 1.7 GB. */
export const MAX_LORA_BYTES = 4 * 2 ** 30;

/** One module: what a trainer did to one layer. */
export interface LoraModule {
  /** As written in the file. */
  name: string;
  kind: Kind;
  parts: ReadonlyMap<Part, TensorInfo>;
}

/** A LoRA file whose header was read and whose modules are whole. */
export interface LoraFile {
  file: SafetensorsFile;
  modules: readonly LoraModule[];
  /** Names of embeddings bundled with it (`bundle_emb.<name>.…`). */
  embeddings: readonly string[];
  /** Tensor names that are of no module. */
  unknownKeys: readonly string[];
}

/**
 * Reads the header of a LoRA and sorts its tensors by module.
 *
 * @param path  real path of a `.safetensors` file
 * @throws CheckpointError when the file is no safetensors file; LoraError NO_MODULES, TOO_LARGE,
 *   INCOMPLETE_MODULE, DTYPE
 */
export async function readLoraFile(path: string): Promise<LoraFile> {
  return sortModules(await readHeader(path));
}

/**
 * Sorts the tensors of a file by module.
 *
 * @throws LoraError as `readLoraFile`
 */
export function sortModules(file: SafetensorsFile): LoraFile {
  if (file.bytes > MAX_LORA_BYTES) {
    throw new LoraError(
      'TOO_LARGE',
      `the file has ${file.bytes} bytes and a LoRA at most ${MAX_LORA_BYTES}`,
    );
  }
  const parts = new Map<string, Map<Part, TensorInfo>>();
  const embeddings = new Set<string>();
  const unknownKeys: string[] = [];
  for (const [key, info] of file.tensors) {
    const bundled = /^bundle_emb\.(.+?)\.(string_to_param\..+|[^.]+)$/.exec(key);
    if (bundled) {
      embeddings.add(bundled[1] as string);
      continue;
    }
    const split = splitKey(key);
    if (!split) {
      unknownKeys.push(key);
      continue;
    }
    const own = parts.get(split.module) ?? new Map<Part, TensorInfo>();
    parts.set(split.module, own);
    if (own.has(split.part)) {
      throw incomplete(split.module, `has two tensors for its part ${split.part}`);
    }
    if (!isWeightDtype(info.dtype) && split.part !== 'on_input' && split.part !== 'alpha') {
      throw new LoraError(
        'DTYPE',
        `${quoteName(key)} is of type ${info.dtype}, which is no weight`,
      );
    }
    own.set(split.part, info);
  }
  if (parts.size === 0) {
    throw new LoraError('NO_MODULES', 'the file has no modules of any kind of LoRA');
  }
  // A part that no kind has would change what the others mean: better not applied than half applied.
  for (const key of unknownKeys) {
    const owner = ownersOf(key).find((name) => parts.has(name));
    if (owner) throw incomplete(owner, `has the unknown part ${quoteName(key)}`);
  }
  const modules = [...parts].map(([name, own]): LoraModule => {
    const kind = kindOf(own);
    if (!kind)
      throw incomplete(name, `has the parts ${[...own.keys()].join(', ')}, as no kind of LoRA`);
    return { name, kind, parts: own };
  });
  return { file, modules, embeddings: [...embeddings], unknownKeys };
}

/** Most names with dots that stand behind a module's: `lora_embedding_A.default.weight`. */
const MAX_PART_NAMES = 4;

/** Names of the modules that a tensor may be a part of: what stands before some of its last dots, or before the first. */
function ownersOf(key: string): string[] {
  const owners: string[] = [];
  for (let at = key.lastIndexOf('.'); at > 0 && owners.length < MAX_PART_NAMES; ) {
    owners.push(key.slice(0, at));
    at = key.lastIndexOf('.', at - 1);
  }
  return [...owners, key.split('.', 1)[0] as string];
}

function incomplete(module: string, what: string): LoraError {
  return new LoraError('INCOMPLETE_MODULE', `the module ${quoteName(module)} ${what}`);
}

/**
 * Reads one part of a module as f32.
 *
 * @returns null when the module has no such part
 * @throws LoraError NOT_FINITE; CheckpointError when the file changed or cannot be read
 */
export function readPart(lora: LoraFile, module: LoraModule, part: Part): Float32Array | null {
  const info = module.parts.get(part);
  if (!info) return null;
  const values = readFloat32(lora.file, info);
  // 0 * x is NaN for NaN and infinities, so one sum finds them all without a branch per number.
  let zero = 0;
  for (let i = 0; i < values.length; i++) zero += (values[i] as number) * 0;
  if (zero !== 0) throw notFinite(info);
  return values;
}

/**
 * Reads a part that the file has in f16, as bits.
 *
 * @throws as `readPart`
 */
export function readHalfPart(lora: LoraFile, module: LoraModule, part: Part): Uint16Array {
  const info = module.parts.get(part) as TensorInfo;
  const bytes = readTensor(lora.file, info);
  const codes = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  if (!areFinite(codes)) throw notFinite(info);
  return codes;
}

function notFinite({ name }: TensorInfo): LoraError {
  return new LoraError('NOT_FINITE', `${quoteName(name)} holds NaN or infinity`);
}

/**
 * Returns what a module's change is multiplied with beside its weight: the part `scale`, else
 * alpha / dim, else 1.
 *
 * @param dim  the rank that alpha refers to; null for kinds that have none
 * @throws LoraError as `readPart`
 */
export function readScale(lora: LoraFile, module: LoraModule, dim: number | null): number {
  const scale = readPart(lora, module, 'scale')?.[0];
  if (scale !== undefined) return scale;
  if (dim === null) return 1;
  const alpha = readPart(lora, module, 'alpha')?.[0];
  return alpha === undefined ? adapterScale(lora.file.metadata, module.name, dim) : alpha / dim;
}
