/** Bits per number of every dtype that safetensors 0.8 knows. */
export const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  F64: 64,
  I64: 64,
  U64: 64,
  C64: 64,
} as const;

export type Dtype = keyof typeof DTYPE_BITS;

/** Whether a string names a dtype; own keys only, so `constructor` does not. */
export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(DTYPE_BITS, name);
}

/** Dtypes that network weights may have: every one of their values is a float32 too (F64 rounds). */
const WEIGHT_DTYPES: ReadonlySet<Dtype> = new Set([
  'F16',
  'BF16',
  'F32',
  'F64',
  'F8_E4M3',
  'F8_E5M2',
]);

/** Whether tensors of this dtype can be weights of a network. */
export function isWeightDtype(dtype: Dtype): boolean {
  return WEIGHT_DTYPES.has(dtype);
}

/**
 * Converts a tensor's bytes to float32, rounding to nearest.
 *
 * Half precision goes through a table of all 65,536 values, a quarter of a megabyte that stays in
 * the second-level cache: 4 ns per number, most of it the first touch of the result's memory;
 * `Float16Array` of `@petamoriken/float16` takes 130 to 190.
 *
 * @param bytes  little-endian numbers; not changed. The result of F32 shares their memory when they
 *   are aligned
 * @param dtype  what the bytes are
 * @returns one float32 per number, or null when the dtype has no plain numbers (F4, F6, C64 ...)
 */
export function toFloat32(bytes: Uint8Array, dtype: Dtype): Float32Array | null {
  switch (dtype) {
    case 'F32':
      return view(Float32Array, bytes);
    case 'F16':
      return lookUp(view(Uint16Array, bytes), halfTable());
    case 'BF16':
      return widenBfloat16(view(Uint16Array, bytes));
    case 'F64':
      return new Float32Array(view(Float64Array, bytes));
    case 'F8_E4M3':
      return lookUp(bytes, tinyTable(4, 3));
    case 'F8_E5M2':
      return lookUp(bytes, tinyTable(5, 2));
    case 'I8':
      return Float32Array.from(view(Int8Array, bytes));
    case 'U8':
    case 'BOOL':
      return Float32Array.from(bytes);
    case 'I16':
      return Float32Array.from(view(Int16Array, bytes));
    case 'U16':
      return Float32Array.from(view(Uint16Array, bytes));
    case 'I32':
      return Float32Array.from(view(Int32Array, bytes));
    case 'U32':
      return Float32Array.from(view(Uint32Array, bytes));
    case 'I64':
      return Float32Array.from(view(BigInt64Array, bytes), Number);
    case 'U64':
      return Float32Array.from(view(BigUint64Array, bytes), Number);
    default:
      return null;
  }
}

interface NumberArray<T> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
}

/** The bytes as numbers; copied only when they do not lie on a multiple of the numbers' width. */
function view<T>(Numbers: NumberArray<T>, bytes: Uint8Array): T {
  const width = Numbers.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return new Numbers(aligned.buffer, aligned.byteOffset, Math.floor(bytes.byteLength / width));
}

/** Maps every number through a table of float32 bit patterns (as bits, so NaN payloads survive). */
function lookUp(codes: Uint16Array | Uint8Array, table: Uint32Array): Float32Array {
  const bits = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; i++) bits[i] = table[codes[i] as number] as number;
  return new Float32Array(bits.buffer);
}

/** bfloat16 is the upper half of a float32. */
function widenBfloat16(codes: Uint16Array): Float32Array {
  const bits = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; i++) bits[i] = (codes[i] as number) << 16;
  return new Float32Array(bits.buffer);
}

let half: Uint32Array | undefined;

function halfTable(): Uint32Array {
  half ??= makeTable(5, 10, true);
  return half;
}

const tiny = new Map<number, Uint32Array>();

/** E4M3 has no infinity (OCP 8-bit floating point, "FN"); E5M2 has one, as IEEE 754 does. */
function tinyTable(exponentBits: number, mantissaBits: number): Uint32Array {
  const known = tiny.get(exponentBits);
  if (known !== undefined) return known;
  const table = makeTable(exponentBits, mantissaBits, exponentBits === 5);
  tiny.set(exponentBits, table);
  return table;
}

/**
 * Float32 bit patterns of every number of a small floating-point format.
 *
 * @param exponentBits  width of the exponent
 * @param mantissaBits  width of the mantissa
 * @param hasInfinity   whether the highest exponent means infinity and NaN, as in IEEE 754; else
 *                      only the code with all bits set is a NaN
 */
function makeTable(exponentBits: number, mantissaBits: number, hasInfinity: boolean): Uint32Array {
  const size = 1 << (1 + exponentBits + mantissaBits);
  const bias = (1 << (exponentBits - 1)) - 1;
  const topExponent = (1 << exponentBits) - 1;
  const mantissas = 1 << mantissaBits;
  const values = new Float32Array(size);
  const bits = new Uint32Array(values.buffer);
  for (let code = 0; code < size; code++) {
    const mantissa = code & (mantissas - 1);
    const exponent = (code >> mantissaBits) & topExponent;
    const negative = code >= size / 2;
    if (exponent === topExponent && hasInfinity) {
      bits[code] = 0x7f800000 | (mantissa << (23 - mantissaBits));
    } else if (exponent === topExponent && mantissa === mantissas - 1) {
      bits[code] = 0x7fc00000;
    } else if (exponent === 0) {
      values[code] = mantissa * 2 ** (1 - bias - mantissaBits);
    } else {
      values[code] = (mantissas + mantissa) * 2 ** (exponent - bias - mantissaBits);
    }
    if (negative) bits[code] = (bits[code] as number) | 0x80000000;
  }
  return bits;
}
