/** Factors of several LoRAs as the feeds of a network's low-rank inputs. */
import type { FedFactors } from './fed-factors.ts';

/** What one layer is fed with, as `Network.run` takes it. */
export interface LoraFeed {
  /** f16 [rank, in · kernel]. */
  down: Uint16Array;
  /** f16 [out, rank]. */
  up: Uint16Array;
  rank: number;
  /** Weight and alpha / dim of the LoRA that each rank belongs to, f32 [rank]. */
  scale: Float32Array;
}

/** Feeds of a network's LoRA ports by layer. */
export type LoraFeeds = ReadonlyMap<string, LoraFeed>;

/** One LoRA's share in one layer. */
export interface Share {
  factors: FedFactors;
  /** Weight times `factors.scale`; may be 0 where another step's is not. */
  scale: number;
  /** How many of the ranks are used, from the first (`dyn`). */
  rank: number;
}

/** The factors of one set of shares, put together. */
interface Slot {
  shares: readonly Share[];
  down: Uint16Array;
  up: Uint16Array;
  rank: number;
}

/**
 * Puts the factors of LoRAs together: concatenated along the rank.
 *
 * A single LoRA's factors are fed as they were read. Those of several are concatenated once and kept
 * until another set comes, so a changed weight costs a few numbers per layer (full-size SDXL with
 * 722 layers of rank 64: 46,208 of them).
 */
export class FeedComposer {
  #slots = new Map<string, Slot>();

  /**
   * Returns the feeds. The same shares give bit-identical feeds, whatever was composed in between.
   *
   * @param shares  by layer, in the order of the tags; layers without any, or with all scales 0, get
   *                no feed
   */
  compose(shares: ReadonlyMap<string, readonly Share[]>): LoraFeeds {
    const slots = new Map<string, Slot>();
    const feeds = new Map<string, LoraFeed>();
    for (const [layer, own] of shares) {
      if (own.length === 0) continue;
      const old = this.#slots.get(layer);
      const slot = old && isSame(old.shares, own) ? old : concatenate(own);
      slots.set(layer, slot);
      if (own.every(({ scale }) => scale === 0)) continue;
      const { down, up, rank } = slot;
      feeds.set(layer, { down, up, rank, scale: scalesOf(own, rank) });
    }
    this.#slots = slots;
    return feeds;
  }

  /** Lets go of all factors. */
  clear(): void {
    this.#slots = new Map();
  }
}

function isSame(before: readonly Share[], now: readonly Share[]): boolean {
  return (
    before.length === now.length &&
    now.every(({ factors, rank }, i) => {
      const old = before[i] as Share;
      return factors === old.factors && rank === old.rank;
    })
  );
}

function scalesOf(shares: readonly Share[], rank: number): Float32Array {
  const scales = new Float32Array(rank);
  let at = 0;
  for (const share of shares) {
    const { powers } = share.factors;
    scales.fill(share.scale, at, at + share.rank);
    for (let r = 0; powers && r < share.rank; r++)
      scales[at + r] = share.scale * (powers[r] as number);
    at += share.rank;
  }
  return scales;
}

function concatenate(shares: readonly Share[]): Slot {
  const [only] = shares as [Share];
  const rank = shares.reduce((sum, share) => sum + share.rank, 0);
  if (shares.length === 1 && only.rank === only.factors.rank) {
    return { shares, rank, down: only.factors.down, up: only.factors.up };
  }
  const { factors } = only;
  const down = new Uint16Array((factors.down.length / factors.rank) * rank);
  const up = new Uint16Array((factors.up.length / factors.rank) * rank);
  writeRows(down, shares);
  writeColumns(up, shares, rank);
  return { shares, rank, down, up };
}

function writeRows(target: Uint16Array, shares: readonly Share[]): void {
  let at = 0;
  for (const { factors, rank } of shares) {
    const { down } = factors;
    const length = (down.length / factors.rank) * rank;
    target.set(down.subarray(0, length), at);
    at += length;
  }
}

function writeColumns(target: Uint16Array, shares: readonly Share[], total: number): void {
  const rows = target.length / total;
  let at = 0;
  for (const { factors, rank } of shares) {
    const { up, rank: stride } = factors;
    for (let row = 0; row < rows; row++) {
      const [from, to] = [row * stride, row * total + at];
      for (let i = 0; i < rank; i++) target[to + i] = up[from + i] as number;
    }
    at += rank;
  }
}
