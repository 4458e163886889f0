/** The inputs of a network's LoRA ports as arrays: see `low-rank.ts` for what reads them. */
import type { LoraPort } from './graph.ts';
import { COMMON, endsOf, portInputs } from './low-rank.ts';

/** What one layer is fed with; `rank` is the common first size of down and last of up. */
export interface LoraFeed {
  /** Bits of f16 [rank, in · kernel]; read, not copied. */
  down: Uint16Array;
  /** Bits of f16 [out, rank]; read, not copied. */
  up: Uint16Array;
  rank: number;
  /** Factor of each rank, f32 [rank]; default 1. */
  scale?: Float32Array;
}

/** Feeds of a network's LoRA ports by layer; layers without any are not changed. */
export type LoraFeeds = ReadonlyMap<string, LoraFeed>;

/** An input of the session. */
export type PortTensor =
  | { type: 'float16'; data: Uint16Array; shape: readonly number[] }
  | { type: 'float32'; data: Float32Array; shape: readonly number[] }
  | { type: 'int64'; data: BigInt64Array; shape: readonly number[] };

/** Above any number of rows: the end of "all rows". */
const ALL_ROWS = 2n ** 40n;

const EMPTY = new Uint16Array(0);

/** Returns what the ports are fed with when there is no LoRA. */
export function emptyFeeds(ports: readonly LoraPort[]): Record<string, PortTensor> {
  const feeds = sharedFeeds(ports, new Map());
  for (const port of ports) addFactors(feeds, port, { down: EMPTY, up: EMPTY, rank: 0 });
  return feeds;
}

/** Returns what differs from `emptyFeeds` with some LoRAs. */
export function portFeeds(ports: readonly LoraPort[], lora: LoraFeeds): Record<string, PortTensor> {
  const feeds = sharedFeeds(ports, lora);
  for (const port of ports) {
    const feed = lora.get(port.layer);
    if (feed) addFactors(feeds, port, feed);
  }
  return feeds;
}

function addFactors(
  feeds: Record<string, PortTensor>,
  { layer, in: inner, out, kernel }: LoraPort,
  { down, up, rank }: LoraFeed,
): void {
  const names = portInputs(layer);
  feeds[names.down] = { type: 'float16', data: down, shape: [rank, inner, ...kernel] };
  feeds[names.up] = { type: 'float16', data: up, shape: [out, rank] };
}

function sharedFeeds(ports: readonly LoraPort[], lora: LoraFeeds): Record<string, PortTensor> {
  if (ports.length === 0) return {};
  const ranks = ports.map(({ layer }) => lora.get(layer)?.rank ?? 0);
  const ends = ports.flatMap((port, i) =>
    new Array<bigint>(endsOf(port)).fill(ranks[i] === 0 ? 1n : ALL_ROWS),
  );
  const scales = new Float32Array(ranks.reduce((sum, rank) => sum + rank, 0)).fill(1);
  let at = 0;
  ports.forEach(({ layer }, i) => {
    const scale = lora.get(layer)?.scale;
    if (scale) scales.set(scale, at);
    at += ranks[i] as number;
  });
  return {
    [COMMON.ranks]: {
      type: 'int64',
      data: BigInt64Array.from(ranks, BigInt),
      shape: [ranks.length],
    },
    [COMMON.ends]: { type: 'int64', data: BigInt64Array.from(ends), shape: [ends.length] },
    [COMMON.scales]: { type: 'float32', data: scales, shape: [scales.length] },
  };
}
