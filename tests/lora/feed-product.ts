/** What a feed changes, as one matrix. */
import type { LoraFeed } from '../../lora/compose.ts';
import { decodeHalf } from '../../networks/checkpoint/half.ts';

/** up · scale · down of one layer's feed, [out, in · kernel]. */
export function feedProduct(feed: LoraFeed | undefined): number[] {
  if (!feed) return [];
  const { rank, scale } = feed;
  const [down, up] = [feed.down, feed.up].map((codes) => Array.from(codes, decodeHalf));
  const [out, inner] = [feed.up.length / rank, feed.down.length / rank];
  return Array.from({ length: out * inner }, (_, at) => {
    let sum = 0;
    for (let r = 0; r < rank; r++) {
      const raised = (up?.[Math.floor(at / inner) * rank + r] ?? 0) * (scale[r] ?? 0);
      sum += raised * (down?.[r * inner + (at % inner)] ?? 0);
    }
    return sum;
  });
}
