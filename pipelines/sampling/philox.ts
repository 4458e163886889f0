const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;
const ROUNDS = 10;

/** 2^-32 and 2^-32 · 2π as the reference holds them: f32. */
const TO_UNIT = Math.fround(2.3283064e-10);
const TO_ANGLE = Math.fround(2.3283064e-10 * 6.2831855);

const WORD = 2 ** 32;

/**
 * High 32 bits of the product of two unsigned 32-bit numbers, the first given in halves. Partial
 * products and their carries fit 32 bits, so all of it stays in integer registers.
 */
function multiplyHigh(high: number, low: number, b: number): number {
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(high, bLow) + (Math.imul(low, bLow) >>> 16)) | 0;
  const other = (Math.imul(low, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(high, bHigh) + (middle >>> 16) + (other >>> 16)) | 0;
}

/**
 * Unit normal numbers as an NVIDIA GPU draws them for PyTorch: Philox 4x32-10 (Salmon et al. 2011)
 * with one counter per element, then Box-Muller.
 *
 * A draw is one tensor; the counter's first word counts the draws.
 */
export class PhiloxGenerator {
  readonly #key0: number;
  readonly #key1: number;
  #draws = 0;

  /** @param seed integer; its low 64 bits are used, two's complement if negative */
  constructor(seed: number) {
    this.#key0 = seed >>> 0;
    this.#key1 = Math.floor(seed / WORD) >>> 0;
  }

  /**
   * Returns the next tensor of unit normal numbers.
   *
   * @param n number of values, 0 … 2^32 - 1
   * @returns f32 [n]
   */
  normal(n: number): Float32Array {
    const values = new Float32Array(n);
    const offset = this.#draws++;
    for (let j = 0; j < n; j++) {
      let c0 = offset;
      let c1 = 0;
      let c2 = j;
      let c3 = 0;
      let k0 = this.#key0;
      let k1 = this.#key1;
      for (let round = 0; round < ROUNDS; round++) {
        const high0 = multiplyHigh(M0 >>> 16, M0 & 0xffff, c0);
        const low0 = Math.imul(M0, c0);
        const high1 = multiplyHigh(M1 >>> 16, M1 & 0xffff, c2);
        const low1 = Math.imul(M1, c2);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 = (k0 + W0) | 0;
        k1 = (k1 + W1) | 0;
      }
      const u = (c0 >>> 0) * TO_UNIT + TO_UNIT / 2;
      const v = (c1 >>> 0) * TO_ANGLE + TO_ANGLE / 2;
      values[j] = Math.sqrt(-2 * Math.log(u)) * Math.sin(v);
    }
    return values;
  }
}
