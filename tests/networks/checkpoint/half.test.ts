import { describe, expect, it } from 'vitest';
import { areFinite, decodeHalf, encodeHalf } from '../../../networks/checkpoint/half.ts';

/** All finite halves from 0 up, by their bits; the table behind `decodeHalf` has tests of its own in `dtype.test.ts`. */
const codes = Uint16Array.from({ length: 0x7c00 }, (_, code) => code);
const values = Array.from(codes, decodeHalf);

describe('half precision', () => {
  it('writes every number, and what lies between to the nearer one, half-way to the even one', () => {
    const wrong = [...codes].filter((code) => {
      const value = values[code] as number;
      const step = (values[code + 1] ?? 65_536) - value;
      const even = code + (code & 1);
      return (
        encodeHalf(value) !== code ||
        encodeHalf(-value) !== (value === 0 ? 0x8000 : code | 0x8000) ||
        encodeHalf(value + step * 0.499) !== code ||
        encodeHalf(value + step * 0.5) !== even ||
        encodeHalf(value + step * 0.501) !== code + 1
      );
    });
    expect(wrong).toEqual([]);
  });

  it('goes to infinity from 65,520 on, and keeps NaN', () => {
    expect([65_519, 65_520, 1e30, Infinity, -1e30].map(encodeHalf)).toEqual([
      0x7bff, 0x7c00, 0x7c00, 0x7c00, 0xfc00,
    ]);
    expect(encodeHalf(Number.NaN) & 0x7fff).toBeGreaterThan(0x7c00);
    expect(areFinite(codes)).toBe(true);
    for (const code of [0x7c00, 0xfc00, 0x7e01]) {
      expect(areFinite(Uint16Array.of(0, code, 1))).toBe(false);
    }
  });
});
