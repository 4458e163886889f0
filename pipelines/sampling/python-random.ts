import { MersenneTwister } from './mersenne-twister.ts';

const WORD = 2 ** 32;

/** Integers as Python's `random.Random(seed)` draws them with `randrange`. */
export class PythonRandom {
  readonly #words: MersenneTwister;

  /** @param seed  integer, 0 … 2^53-1 */
  constructor(seed: number) {
    const [low, high] = [seed % WORD, Math.floor(seed / WORD)];
    this.#words = new MersenneTwister(high > 0 ? [low, high] : [low]);
  }

  /**
   * Returns an integer of 0 … n-1, each as likely.
   *
   * Bits are drawn until their number is below n, for an n of 1 too: how far the generator has come
   * afterwards depends on it.
   *
   * @param n  integer, 1 … 2^31
   */
  below(n: number): number {
    const bits = 32 - Math.clz32(n);
    for (;;) {
      const drawn = this.#words.nextWord() >>> (32 - bits);
      if (drawn < n) return drawn;
    }
  }
}
