import { getFloat16, setFloat16 } from '@petamoriken/float16';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DTYPE_BITS, isDtype, toFloat32 } from '../../../networks/checkpoint/dtype.ts';

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const convert = (array: ArrayBufferView, dtype: Parameters<typeof toFloat32>[1]): number[] => [
  ...(toFloat32(bytesOf(array), dtype) ?? []),
];

describe('toFloat32', () => {
  it('agrees with @petamoriken/float16 on all 65,536 half-precision numbers', () => {
    const codes = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const view = new DataView(codes.buffer);
    const ours = toFloat32(bytesOf(codes), 'F16') as Float32Array;
    const wrong = [...codes].filter((i) => !Object.is(ours[i], getFloat16(view, 2 * i, true)));
    expect(wrong).toEqual([]);
  });

  it('brings back every float32 that half precision can hold', () => {
    fc.assert(
      fc.property(fc.double({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const view = new DataView(new ArrayBuffer(2));
        setFloat16(view, 0, value, true);
        expect(convert(view, 'F16')).toEqual([getFloat16(view, 0, true)]);
      }),
    );
  });

  it('widens bfloat16: the upper half of a float32', () => {
    const codes = Uint16Array.of(0x3f80, 0xc000, 0x7f80, 0x0001, 0x8000);
    expect(convert(codes, 'BF16')).toEqual([1, -2, Number.POSITIVE_INFINITY, 2 ** -133, -0]);
    expect(convert(Uint16Array.of(0x7fc0), 'BF16')).toEqual([Number.NaN]);
  });

  it('keeps float32 bit by bit and rounds float64', () => {
    expect(convert(Float32Array.of(0.1, -0, 3e38), 'F32')).toEqual([
      ...Float32Array.of(0.1, -0, 3e38),
    ]);
    expect(convert(Float64Array.of(0.1, 1e300), 'F64')).toEqual([
      Math.fround(0.1),
      Number.POSITIVE_INFINITY,
    ]);
  });

  it('reads both 8-bit formats (OCP: E4M3 ends at 448 without infinity, E5M2 at 57,344)', () => {
    expect(convert(Uint8Array.of(0x38, 0x7e, 0x01, 0xb8, 0x08), 'F8_E4M3')).toEqual([
      1,
      448,
      2 ** -9,
      -1,
      2 ** -6,
    ]);
    expect(convert(Uint8Array.of(0x7f, 0xff), 'F8_E4M3')).toEqual([Number.NaN, Number.NaN]);
    expect(convert(Uint8Array.of(0x3c, 0x7b, 0x01, 0x7c, 0xfc), 'F8_E5M2')).toEqual([
      1,
      57_344,
      2 ** -16,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]);
  });

  it('reads integers, as the alpha of some LoRAs is one', () => {
    expect(convert(BigInt64Array.of(-3n, 16n), 'I64')).toEqual([-3, 16]);
    expect(convert(BigUint64Array.of(8n), 'U64')).toEqual([8]);
    expect(convert(Int32Array.of(-1), 'I32')).toEqual([-1]);
    expect(convert(Uint32Array.of(2 ** 31), 'U32')).toEqual([2 ** 31]);
    expect(convert(Int16Array.of(-1), 'I16')).toEqual([-1]);
    expect(convert(Uint16Array.of(65_535), 'U16')).toEqual([65_535]);
    expect(convert(Int8Array.of(-1), 'I8')).toEqual([-1]);
    expect(convert(Uint8Array.of(255), 'U8')).toEqual([255]);
    expect(convert(Uint8Array.of(1, 0), 'BOOL')).toEqual([1, 0]);
  });

  it('does not care where in a buffer the bytes lie', () => {
    const buffer = new Uint8Array(16);
    for (const at of [3, 4]) {
      buffer.set(bytesOf(Float32Array.of(1.5)), at);
      expect([...(toFloat32(buffer.subarray(at, at + 4), 'F32') ?? [])]).toEqual([1.5]);
      buffer.set(bytesOf(Uint16Array.of(0x3e00)), at);
      expect([...(toFloat32(buffer.subarray(at, at + 2), 'F16') ?? [])]).toEqual([1.5]);
    }
  });

  it('does not copy aligned float32, as tensors have hundreds of megabytes', () => {
    const values = Float32Array.of(1, 2);
    expect(toFloat32(bytesOf(values), 'F32')?.buffer).toBe(values.buffer);
  });

  it('has no answer for packed and complex numbers', () => {
    for (const dtype of ['F4', 'F6_E2M3', 'C64', 'F8_E8M0'] as const) {
      expect(toFloat32(new Uint8Array(8), dtype)).toBeNull();
    }
  });
});

describe('isDtype', () => {
  it('knows the dtypes and nothing of the prototype', () => {
    expect(Object.keys(DTYPE_BITS).every(isDtype)).toBe(true);
    for (const name of ['constructor', '__proto__', 'toString', 'f32', '']) {
      expect(isDtype(name)).toBe(false);
    }
  });
});
