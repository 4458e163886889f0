const STATE_WORDS = 624;
const SHIFT_WORDS = 397;
const MATRIX = 0x9908b0df;
const UPPER = 0x80000000;
const LOWER = 0x7fffffff;
const INIT_MULTIPLIER = 1812433253;

/** PyTorch fills tensors of at least this many values in blocks of as many. */
const BLOCK = 16;

const f32 = Math.fround;
const TWO_PI_F32 = f32(2 * Math.PI);

/**
 * Unit normal numbers as PyTorch's CPU generator draws them (`torch.randn` after `manual_seed`):
 * the 32-bit Mersenne Twister (Matsumoto & Nishimura 1998), then Box-Muller.
 *
 * The state runs on from one draw to the next.
 */
export class TorchCpuGenerator {
  readonly #state = new Uint32Array(STATE_WORDS);
  #position = STATE_WORDS;
  /** Second half of a Box-Muller pair, kept for the next value of a small draw. */
  #spare: number | null = null;

  /** @param seed integer; its low 32 bits are used */
  constructor(seed: number) {
    const state = this.#state;
    state[0] = seed >>> 0;
    for (let i = 1; i < STATE_WORDS; i++) {
      const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
      state[i] = Math.imul(INIT_MULTIPLIER, previous) + i;
    }
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

  #nextWord(): number {
    if (this.#position === STATE_WORDS) this.#twist();
    let y = this.#state[this.#position++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < STATE_WORDS; i++) {
      const y = (state[i]! & UPPER) | (state[(i + 1) % STATE_WORDS]! & LOWER);
      state[i] = state[(i + SHIFT_WORDS) % STATE_WORDS]! ^ (y >>> 1) ^ (y & 1 ? MATRIX : 0);
    }
    this.#position = 0;
  }

  /** Uniform in [0, 1) with the 24 bits of an f32. */
  #nextUnit24(): number {
    return (this.#nextWord() & 0xffffff) * 2 ** -24;
  }

  /** Uniform in [0, 1) with the 53 bits of a double. */
  #nextUnit53(): number {
    const high = this.#nextWord() & 0x1fffff;
    return (high * 2 ** 32 + this.#nextWord()) * 2 ** -53;
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
