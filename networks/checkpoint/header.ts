import { type Dtype, isDtype } from './dtype.ts';
import { CheckpointError, type CheckpointErrorCode, quoteName } from './errors.ts';
import { type Fail, HeaderScanner } from './header-scanner.ts';
import { placeTensors, type RawTensor, type TensorInfo } from './layout.ts';

export type { TensorInfo } from './layout.ts';

/** Bytes of the little-endian header length at the start of the file. */
export const LENGTH_BYTES = 8;
/** Largest header, in bytes. SDXL's is under 0.5 MB, the largest LoRA's (tag lists) a few MB. */
export const MAX_HEADER_BYTES = 16 * 1024 * 1024;
/** Most tensors in one file. SDXL with its EMA copy has under 6,000. */
export const MAX_TENSORS = 50_000;
/** Longest tensor name, in UTF-16 units. The longest honest names (LoRA) are under 200. */
export const MAX_NAME_LENGTH = 1_024;
/** Most dimensions of a tensor. Weights have at most 5 (video). */
export const MAX_RANK = 8;
/** Largest size of one dimension. A vocabulary is 49,408; quantized files have a few 10^8. */
export const MAX_DIMENSION = 2 ** 32;
/** Largest `__metadata__`, in UTF-16 units as written. kohya's tag lists reach a few million. */
export const MAX_METADATA_LENGTH = 8 * 1024 * 1024;
/** Most keys of `__metadata__`. kohya writes about 80. */
export const MAX_METADATA_ENTRIES = 100_000;

/** What a header says. Maps, because `__proto__` and `constructor` are legal names. */
export interface Header {
  /** First byte of the data, counted from the start of the file. */
  dataOffset: number;
  /** By name, in the order of the data. */
  tensors: Map<string, TensorInfo>;
  metadata: Map<string, string>;
}

/**
 * Parses and checks a safetensors header against the size of its file, as the reference crate does
 * (`huggingface/safetensors`, `tensor.rs`): tensors lie without holes or overlaps, each is as long
 * as shape and dtype say, and the last byte is the end of the file. Stricter than the crate:
 * duplicates, empty names and the limits above.
 *
 * @param bytes      the header without its 8 length bytes
 * @param fileBytes  size of the whole file
 * @param file       path, for the errors
 * @throws CheckpointError for every fault, each with its own code
 */
export function parseHeader(bytes: Uint8Array, fileBytes: number, file: string): Header {
  const text = decodeHeader(bytes, file);
  let tensor: string | null = null;
  const fail = (code: CheckpointErrorCode, detail: string): CheckpointError =>
    new CheckpointError(code, file, detail, tensor);
  const scanner = new HeaderScanner(text, fail);
  const raw = new Map<string, RawTensor>();
  let metadata: Map<string, string> | null = null;

  scanner.take('{');
  if (!scanner.tryTake('}')) {
    do {
      tensor = null;
      const name = scanner.readString(MAX_NAME_LENGTH, 'NAME_TOO_LONG');
      scanner.take(':');
      if (name === '__metadata__') {
        if (metadata !== null) throw fail('DUPLICATE_NAME', '__metadata__ occurs twice.');
        metadata = readMetadata(scanner, fail);
        continue;
      }
      tensor = name;
      if (name === '') throw fail('EMPTY_NAME', 'A tensor has no name.');
      if (raw.has(name)) throw fail('DUPLICATE_NAME', 'The name occurs twice.');
      if (raw.size === MAX_TENSORS) {
        throw fail('TOO_MANY_TENSORS', `The file has more than ${MAX_TENSORS} tensors.`);
      }
      raw.set(name, readTensorFields(scanner, name, fail));
    } while (scanner.tryTake(','));
    tensor = null;
    scanner.take('}');
  }
  scanner.finish();

  const dataOffset = LENGTH_BYTES + bytes.byteLength;
  const tensors = placeTensors([...raw.values()], dataOffset, fileBytes, file);
  return { dataOffset, tensors, metadata: metadata ?? new Map() };
}

/** The header as text, or the reason why it is none. */
function decodeHeader(bytes: Uint8Array, file: string): string {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    throw new CheckpointError('HEADER_BOM', file, 'The header starts with a byte order mark.');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CheckpointError('HEADER_NOT_UTF8', file, 'The header is not UTF-8.');
  }
  if (!text.startsWith('{')) {
    const first = quoteName(text.slice(0, 1));
    throw new CheckpointError(
      'HEADER_NOT_OBJECT',
      file,
      `The header starts with ${first} and not with "{": this is not a safetensors file.`,
    );
  }
  return text;
}

function readMetadata(scanner: HeaderScanner, fail: Fail): Map<string, string> {
  const metadata = new Map<string, string>();
  const start = scanner.position;
  const left = (): number => Math.max(0, MAX_METADATA_LENGTH - (scanner.position - start));
  if (scanner.peek() !== '{') throw fail('METADATA_NOT_OBJECT', '__metadata__ is not an object.');
  scanner.take('{');
  if (scanner.tryTake('}')) return metadata;
  do {
    const key = scanner.readString(left(), 'METADATA_TOO_LARGE');
    scanner.take(':');
    if (metadata.has(key)) {
      throw fail('DUPLICATE_FIELD', `${quoteName(key)} occurs twice in __metadata__.`);
    }
    if (metadata.size === MAX_METADATA_ENTRIES) {
      throw fail('METADATA_TOO_LARGE', `__metadata__ has over ${MAX_METADATA_ENTRIES} keys.`);
    }
    const next = scanner.peek();
    if (next !== '"' && next > ' ') {
      throw fail('METADATA_NOT_STRING', `${quoteName(key)} in __metadata__ is not a string.`);
    }
    metadata.set(key, scanner.readString(left(), 'METADATA_TOO_LARGE'));
  } while (scanner.tryTake(','));
  scanner.take('}');
  return metadata;
}

function readTensorFields(scanner: HeaderScanner, name: string, fail: Fail): RawTensor {
  let dtype: Dtype | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  const next = scanner.peek();
  if (next === '' || next < ' ') throw scanner.unexpected('"{"');
  if (next !== '{') throw fail('TENSOR_NOT_OBJECT', 'Its description is not an object.');
  scanner.take('{');
  if (!scanner.tryTake('}')) {
    do {
      const field = scanner.readString(MAX_NAME_LENGTH, 'NAME_TOO_LONG');
      scanner.take(':');
      const once = (value: unknown): void => {
        if (value !== undefined) {
          throw fail('DUPLICATE_FIELD', `${quoteName(field)} occurs twice.`);
        }
      };
      if (field === 'dtype') {
        once(dtype);
        dtype = readDtype(scanner, fail);
      } else if (field === 'shape') {
        once(shape);
        shape = readIntegers(scanner, 'SHAPE', fail);
      } else if (field === 'data_offsets') {
        once(offsets);
        offsets = readIntegers(scanner, 'OFFSETS', fail);
      } else {
        // Unknown fields are passed over, as in the crate, so that the format can grow.
        scanner.skipValue();
      }
    } while (scanner.tryTake(','));
    scanner.take('}');
  }
  if (dtype === undefined) throw fail('DTYPE_MISSING', 'It has no dtype.');
  if (shape === undefined) throw fail('SHAPE_MISSING', 'It has no shape.');
  if (offsets === undefined) throw fail('OFFSETS_MISSING', 'It has no data_offsets.');
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2) {
    throw fail('OFFSETS_COUNT', `Expected 2 data_offsets but received ${offsets.length}.`);
  }
  return { name, dtype, shape, begin, end };
}

function readDtype(scanner: HeaderScanner, fail: Fail): Dtype {
  const next = scanner.peek();
  if (next !== '"' && next > ' ') throw fail('DTYPE_TYPE', 'Its dtype is not a string.');
  const dtype = scanner.readString(MAX_NAME_LENGTH, 'DTYPE_UNKNOWN');
  if (isDtype(dtype)) return dtype;
  if (isDtype(dtype.toUpperCase())) {
    throw fail('DTYPE_CASE', `Expected dtype ${dtype.toUpperCase()} but received ${dtype}.`);
  }
  throw fail('DTYPE_UNKNOWN', `safetensors has no dtype ${quoteName(dtype)}.`);
}

/** More numbers than any field may have; the check for the field's own limit comes after. */
const MAX_INTEGERS = 16;

function readIntegers(scanner: HeaderScanner, field: 'SHAPE' | 'OFFSETS', fail: Fail): number[] {
  const values: number[] = [];
  const next = scanner.peek();
  if (next === '' || next < ' ') throw scanner.unexpected('"["');
  if (next !== '[') throw fail(`${field}_TYPE`, 'Expected a list of integers.');
  scanner.take('[');
  if (scanner.tryTake(']')) return values;
  do {
    const value = scanner.readInteger(field);
    if (field === 'SHAPE' && value > MAX_DIMENSION) {
      throw fail('SHAPE_RANGE', `Expected a size to 2^32 but received ${value}.`);
    }
    values.push(value);
    if (values.length > (field === 'SHAPE' ? MAX_RANK : MAX_INTEGERS)) {
      if (field === 'SHAPE') throw fail('SHAPE_RANK', `It has more than ${MAX_RANK} dimensions.`);
      throw fail('OFFSETS_COUNT', `Expected 2 data_offsets but received over ${MAX_INTEGERS}.`);
    }
  } while (scanner.tryTake(','));
  scanner.take(']');
  return values;
}
