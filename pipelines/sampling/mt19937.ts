import { MersenneTwister } from './mersenne-twister.ts';

/** PyTorch fills tensors of at least this many values in blocks of as many. */
const BLOCK = 16;

const f32 = Math.fround;
const TWO_PI_F32 = f32(2 * Math.PI);

/**
 * Unit normal numbers as PyTorch's CPU generator draws them (`torch.randn` after `manual_seed`):
 * the 32-bit Mersenne Twister, then Box-Muller.
 *
 * The state runs on from one draw to the next.
 */
export class TorchCpuGenerator {
  readonly #words: MersenneTwister;
  /** Second half of a Box-Muller pair, kept for the next value of a small draw. */
  #spare: number | null = null;

  /** @param seed integer; its low 32 bits are used */
  constructor(seed: number) {
    this.#words = new MersenneTwister(seed);
  }

  /**
   * Returns the next tensor of unit normal numbers.
   *
   * @param n number of values, >= 0
   * @returns f32 [n]
   */
  normal(n: number): Float32Array {
    const values = new Float32Array(n);
    if (n < BLOCK) {
      for (let i = 0; i < n; i++) values[i] = this.#nextNormal();
      return values;
    }
    for (let i = 0; i < n; i++) values[i] = this.#nextUnit24();
    for (let start = 0; start + BLOCK <= n; start += BLOCK) transformBlock(values, start);
    if (n % BLOCK !== 0) {
      // The last 16 values are drawn anew, the finished ones among them overwritten.
      for (let i = n - BLOCK; i < n; i++) values[i] = this.#nextUnit24();
      transformBlock(values, n - BLOCK);
    }
    return values;
  }

  /** Uniform in [0, 1) with the 24 bits of an f32. */
  #nextUnit24(): number {
    return (this.#words.nextWord() & 0xffffff) * 2 ** -24;
  }

  /** Uniform in [0, 1) with the 53 bits of a double. */
  #nextUnit53(): number {
    const high = this.#words.nextWord() & 0x1fffff;
    return (high * 2 ** 32 + this.#words.nextWord()) * 2 ** -53;
  }

  #nextNormal(): number {
    if (this.#spare !== null) {
      const value = this.#spare;
      this.#spare = null;
      return value;
    }
    const angle = 2 * Math.PI * this.#nextUnit53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#nextUnit53()));
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}

/** Box-Muller over 16 uniforms in place, rounded to f32 where PyTorch rounds. */
function transformBlock(values: Float32Array, start: number): void {
  for (let j = start; j < start + BLOCK / 2; j++) {
    const radius = f32(Math.sqrt(f32(-2 * f32(Math.log(1 - values[j]!)))));
    const angle = f32(TWO_PI_F32 * values[j + BLOCK / 2]!);
    values[j] = radius * f32(Math.cos(angle));
    values[j + BLOCK / 2] = radius * f32(Math.sin(angle));
  }
}
