/** Numbers of half precision (IEEE 754 binary16) as bits. */
import { toFloat32 } from './dtype.ts';

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** Bits of infinity; all above them, up to the sign, are NaN. */
const INFINITY = 0x7c00;
/** 2^-14, the smallest normal number, as bits of a float32. */
const SMALLEST_NORMAL = 0x38800000;
/** What a number's float32 exponent is greater by, in place. */
const REBIAS = 0x38000000;

/** Drops the low `count` bits of an unsigned number: to nearest, ties to even. */
export function roundOff(bits: number, count: number): number {
  const half = 2 ** (count - 1) - 1;
  return (bits + half + ((bits >>> count) & 1)) >>> count;
}

/** Rounds to half precision, to nearest and ties to even; from 65,520 on the result is infinity. */
export function encodeHalf(value: number): number {
  single[0] = value;
  const bits = singleBits[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude < SMALLEST_NORMAL) {
    // The step is 2^-24, which is that of float32 between 0.5 and 1.
    single[0] = Math.abs(value) + 0.5;
    return sign | ((singleBits[0] as number) - 0x3f000000);
  }
  if (magnitude > 0x7f800000) return sign | (INFINITY + 0x200);
  return sign | Math.min(roundOff(magnitude - REBIAS, 13), INFINITY);
}

let values: Float32Array | undefined;

/** The value of half-precision bits. */
export function decodeHalf(code: number): number {
  values ??= toFloat32(
    new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, i) => i).buffer),
    'F16',
  ) as Float32Array;
  return values[code] as number;
}

/** Whether all codes are of finite numbers. */
export function areFinite(codes: Uint16Array): boolean {
  for (let i = 0; i < codes.length; i++) {
    if (((codes[i] as number) & INFINITY) === INFINITY) return false;
  }
  return true;
}
