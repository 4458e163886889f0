const STATE_WORDS = 624;
const SHIFT_WORDS = 397;
const MATRIX = 0x9908b0df;
const UPPER = 0x80000000;
const LOWER = 0x7fffffff;
const INIT_MULTIPLIER = 1812433253;
/** Seeding with a list of words begins with the state of this seed. */
const LIST_SEED = 19650218;
const LIST_MULTIPLIERS = [1664525, 1566083941] as const;

/** The 32-bit Mersenne Twister MT19937 (Matsumoto & Nishimura 1998). */
export class MersenneTwister {
  readonly #state = new Uint32Array(STATE_WORDS);
  #position = STATE_WORDS;

  /** @param seed  integer, of which the low 32 bits are used; or a list of words, at least one */
  constructor(seed: number | readonly number[]) {
    if (typeof seed === 'number') this.#seed(seed);
    else this.#seedWithList(seed);
  }

  /** Returns the next 32 random bits, 0 … 2^32-1. */
  nextWord(): number {
    if (this.#position === STATE_WORDS) this.#twist();
    let y = this.#state[this.#position++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #seed(seed: number): void {
    const state = this.#state;
    state[0] = seed >>> 0;
    for (let i = 1; i < STATE_WORDS; i++) {
      state[i] = Math.imul(INIT_MULTIPLIER, this.#mixed(i - 1)) + i;
    }
  }

  #seedWithList(words: readonly number[]): void {
    this.#seed(LIST_SEED);
    const state = this.#state;
    let i = 1;
    const advance = () => {
      i++;
      if (i < STATE_WORDS) return;
      state[0] = state[STATE_WORDS - 1]!;
      i = 1;
    };
    for (let k = 0; k < Math.max(STATE_WORDS, words.length); k++) {
      const j = k % words.length;
      state[i] = (state[i]! ^ Math.imul(LIST_MULTIPLIERS[0], this.#mixed(i - 1))) + words[j]! + j;
      advance();
    }
    for (let k = 1; k < STATE_WORDS; k++) {
      state[i] = (state[i]! ^ Math.imul(LIST_MULTIPLIERS[1], this.#mixed(i - 1))) - i;
      advance();
    }
    state[0] = UPPER;
  }

  #mixed(i: number): number {
    const word = this.#state[i]!;
    return word ^ (word >>> 30);
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < STATE_WORDS; i++) {
      const y = (state[i]! & UPPER) | (state[(i + 1) % STATE_WORDS]! & LOWER);
      state[i] = state[(i + SHIFT_WORDS) % STATE_WORDS]! ^ (y >>> 1) ^ (y & 1 ? MATRIX : 0);
    }
    this.#position = 0;
  }
}
