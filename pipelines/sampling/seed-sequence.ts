const INIT_A = 0x43b0d7e5;
const MULTIPLIER_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULTIPLIER_B = 0x58f38ded;
const MIX_LEFT = 0xca01f9dd;
const MIX_RIGHT = 0x4973f715;

/** Little-endian 32-bit words of a non-negative integer; 0 is one word. */
function toWords(value: number): number[] {
  const words = [value >>> 0];
  for (let rest = Math.floor(value / 2 ** 32); rest > 0; rest = Math.floor(rest / 2 ** 32)) {
    words.push(rest >>> 0);
  }
  return words;
}

/** A multiplicative hash whose constant changes with every call. */
function createHash(init: number, multiplier: number): (value: number) => number {
  let constant = init;
  return (value) => {
    const salted = value ^ constant;
    constant = Math.imul(constant, multiplier);
    const hashed = Math.imul(salted, constant);
    return hashed ^ (hashed >>> 16);
  };
}

function mix(x: number, y: number): number {
  const mixed = (Math.imul(MIX_LEFT, x) - Math.imul(MIX_RIGHT, y)) | 0;
  return mixed ^ (mixed >>> 16);
}

/**
 * Returns the first words of numpy's SeedSequence, which derives independent seeds from one.
 *
 * O'Neill's seed_seq_fe as in `numpy.random.SeedSequence(entropy, spawn_key, pool_size)`.
 *
 * @param entropy  the seed; integer >= 0, up to 2^53
 * @param spawnKey path to a derived sequence; integers >= 0, empty for the root
 * @param poolSize words of state
 * @param count    words wanted
 * @returns u32 [count], as `generate_state(count)`
 */
export function generateSeedState(
  entropy: number,
  spawnKey: readonly number[],
  poolSize: number,
  count: number,
): Uint32Array {
  const words = toWords(entropy);
  if (spawnKey.length > 0) {
    while (words.length < poolSize) words.push(0);
    for (const key of spawnKey) words.push(...toWords(key));
  }
  const hash = createHash(INIT_A, MULTIPLIER_A);
  const pool = Int32Array.from({ length: poolSize }, (_, i) => hash(words[i] ?? 0));
  for (let source = 0; source < poolSize; source++) {
    for (let target = 0; target < poolSize; target++) {
      if (source !== target) pool[target] = mix(pool[target]!, hash(pool[source]!));
    }
  }
  for (const word of words.slice(poolSize)) {
    for (let target = 0; target < poolSize; target++) {
      pool[target] = mix(pool[target]!, hash(word));
    }
  }
  const hashOut = createHash(INIT_B, MULTIPLIER_B);
  return Uint32Array.from({ length: count }, (_, i) => hashOut(pool[i % poolSize]!));
}
