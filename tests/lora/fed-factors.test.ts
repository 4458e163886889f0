import { describe, expect, it } from 'vitest';
import { randomValues } from '../../benchmarks/subject.ts';
import type { LoraFeed } from '../../lora/compose.ts';
import type { Factors } from '../../lora/factors.ts';
import { packFactors } from '../../lora/fed-factors.ts';
import { relativeError } from '../networks/fixture.ts';
import { feedProduct } from './feed-product.ts';

const [RANK, INNER, OUT] = [4, 24, 16];
const numbers = randomValues(RANK * (INNER + OUT));

/** Factors whose rank r is 10^(size · r) times as large as the first. */
function factors(size: number, change: (x: number) => number): Factors {
  const scaled = numbers.map((x, i) => {
    const r = i < RANK * INNER ? Math.floor(i / INNER) : i % RANK;
    return change(x * 10 ** (size * r));
  });
  return {
    ...{ rank: RANK, scale: 1 },
    down: scaled.subarray(0, RANK * INNER),
    up: scaled.subarray(RANK * INNER),
  };
}

/** up · down in double precision. */
function product({ rank, down, up }: Factors): Float32Array {
  return Float32Array.from({ length: OUT * INNER }, (_, at) => {
    const [o, i] = [Math.floor(at / INNER), at % INNER];
    let sum = 0;
    for (let r = 0; r < rank; r++) {
      sum += (up[o * rank + r] as number) * (down[r * INNER + i] as number);
    }
    return sum;
  });
}

function pack(from: Factors): { terms: number; feed: LoraFeed } {
  const { terms, rank, down, up, powers, scale } = packFactors(from);
  const scales = Float32Array.from({ length: rank }, (_, r) => scale * (powers?.[r] ?? 1));
  return { terms, feed: { down, up, rank, scale: scales } };
}

const asHalf = (x: number) => Math.round(x * 512) / 512;
const asBfloat = (x: number) =>
  new Float32Array(Uint32Array.of(bitsOf(x) & 0xffff0000).buffer)[0] as number;
const bitsOf = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0] as number;

describe('factors of f32 as halves', () => {
  it.each([-6, -2, 0, 2, 6])('three ranks for one, ranks 10^%i apart', (size) => {
    const wide = factors(size, (x) => x);
    const { terms, feed } = pack(wide);
    expect([terms, feed.rank]).toEqual([3, 3 * RANK]);
    expect(relativeError(Float32Array.from(feedProduct(feed)), product(wide))).toBeLessThan(1e-6);
  });

  it.each([
    ['bfloat16', 3, asBfloat],
    ['few bits', 0, asHalf],
  ])('one rank for %s, exactly', (_, size, change) => {
    const narrow = factors(size, change);
    const { terms, feed } = pack(narrow);
    expect([terms, feed.rank]).toEqual([1, RANK]);
    expect(relativeError(Float32Array.from(feedProduct(feed)), product(narrow))).toBe(0);
  });

  it('two ranks for one where only one factor is wide', () => {
    const { down } = factors(0, (x) => x);
    const { up } = factors(0, asHalf);
    const mixed = { rank: RANK, scale: 1, down, up };
    const { terms, feed } = pack(mixed);
    expect(terms).toBe(2);
    expect(relativeError(Float32Array.from(feedProduct(feed)), product(mixed))).toBeLessThan(1e-6);
  });

  it('zeros, and numbers at the ends of f32', () => {
    const zeros = { rank: 1, scale: 1, down: new Float32Array(INNER), up: new Float32Array(OUT) };
    expect(feedProduct(pack(zeros).feed)).toEqual(new Array(OUT * INNER).fill(0));
    for (const [large, small] of [
      [1e30, 1e-15],
      [1e15, 1e-30],
    ] as const) {
      const ends = { ...zeros, down: zeros.down.fill(large), up: zeros.up.fill(small) };
      const [first] = feedProduct(pack(ends).feed);
      expect((first as number) / (large * small)).toBeCloseTo(1, 2);
    }
  });
});
