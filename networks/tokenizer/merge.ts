import { mergedId, pairKey } from './vocabulary.ts';

/** Positions in a word stay below this (1 Mi symbols); ranks stay below 2^16: keys are exact. */
const POSITION_BASE = 2 ** 20;
/** Longer words are cut here: no word is near it, and the cut keeps heap keys exact. */
export const MAX_WORD_SYMBOLS = POSITION_BASE - 1;

/**
 * Merges the symbols of one word, lowest rank first and leftmost first among equals, until no
 * adjacent pair has a rank. Byte-pair encoding, Sennrich et al. 2016.
 *
 * O(n log n) in the symbols: a linked list of symbols and a heap of candidate pairs, so that a word
 * of 100,000 letters costs milliseconds.
 *
 * @param symbols  ids of the word's bytes, the last one as a word's end; not changed
 * @param ranks    `pairKey(left, right)` -> rank
 * @returns ids after all merges, in order
 */
export function mergeSymbols(
  symbols: readonly number[],
  ranks: ReadonlyMap<number, number>,
): number[] {
  const ids = [...symbols];
  const count = ids.length;
  if (count === 1) return ids;
  // next[i] and previous[i] skip the symbols that were merged into their left neighbour.
  const next = ids.map((_, i) => i + 1);
  const previous = ids.map((_, i) => i - 1);
  const heap: number[] = [];
  const rankAt = (i: number): number | undefined => {
    const right = next[i]!;
    return right < count ? ranks.get(pairKey(ids[i]!, ids[right]!)) : undefined;
  };
  const offer = (i: number): void => {
    const rank = rankAt(i);
    if (rank !== undefined) push(heap, rank * POSITION_BASE + i);
  };
  for (let i = 0; i + 1 < count; i++) offer(i);

  const isGone = new Uint8Array(count);
  while (heap.length > 0) {
    const key = pop(heap);
    const left = key % POSITION_BASE;
    const rank = (key - left) / POSITION_BASE;
    // An entry is stale when either side has changed since it was offered.
    if (isGone[left] === 1 || rankAt(left) !== rank) continue;
    const right = next[left]!;
    ids[left] = mergedId(rank);
    isGone[right] = 1;
    next[left] = next[right]!;
    if (next[left]! < count) previous[next[left]!] = left;
    offer(left);
    if (previous[left]! >= 0) offer(previous[left]!);
  }
  return ids.filter((_, i) => isGone[i] === 0);
}

/** Adds a key to a binary min-heap. */
function push(heap: number[], key: number): void {
  let i = heap.length;
  heap.push(key);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (heap[parent]! <= key) break;
    heap[i] = heap[parent]!;
    i = parent;
  }
  heap[i] = key;
}

/** Removes and returns the smallest key of a binary min-heap that is not empty. */
function pop(heap: number[]): number {
  const smallest = heap[0]!;
  const key = heap.pop()!;
  const count = heap.length;
  if (count === 0) return smallest;
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= count) break;
    if (child + 1 < count && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= key) break;
    heap[i] = heap[child]!;
    i = child;
  }
  heap[i] = key;
  return smallest;
}
