/**
 * Weights by block of the UNet, in the notation of the extension sd-webui-lora-block-weight: a preset's
 * name, or a number for each block. All lists are kept in the longest form.
 */
import type { Layer, NetworkLayers } from './layers.ts';
import { readNumber } from './weight-curve.ts';

/** Blocks of a UNet of four levels; BASE stands for the text encoders. SDXL has those up to IN08 and OUT08. */
const BLOCKS = [
  'BASE',
  ...Array.from({ length: 12 }, (_, n) => `IN${n}`),
  'MID',
  ...Array.from({ length: 12 }, (_, n) => `OUT${n}`),
];

const named = (prefix: string, numbers: readonly number[]) => numbers.map((n) => `${prefix}${n}`);

/** What a list of some length has numbers for. */
const LISTS: Record<number, readonly string[]> = {
  // SDXL: blocks with attention, as LoRAs without convolutions have them.
  12: ['BASE', ...named('IN', [4, 5, 7, 8]), 'MID', ...named('OUT', [0, 1, 2, 3, 4, 5])],
  // SD 1.x and 2.x: the same.
  17: [
    'BASE',
    ...named('IN', [1, 2, 4, 5, 7, 8]),
    'MID',
    ...named('OUT', [3, 4, 5, 6, 7, 8, 9, 10, 11]),
  ],
  // SDXL: all blocks.
  20: [
    'BASE',
    ...named('IN', [0, 1, 2, 3, 4, 5, 6, 7, 8]),
    'MID',
    ...named('OUT', [0, 1, 2, 3, 4, 5, 6, 7, 8]),
  ],
  26: BLOCKS,
};

/** The blocks with weight 1; the others have 0. */
const PRESETS: Record<string, readonly string[]> = {
  INS: ['BASE', ...named('IN', [1, 2, 4])],
  IND: ['BASE', ...named('IN', [5, 7, 8])],
  INALL: ['BASE', ...named('IN', [1, 2, 4, 5, 7, 8])],
  MIDD: ['BASE', ...named('IN', [5, 7, 8]), 'MID', ...named('OUT', [3, 4, 5, 6])],
  OUTD: ['BASE', ...named('OUT', [3, 4, 5, 6])],
  OUTS: ['BASE', ...named('OUT', [7, 8, 9, 10, 11])],
  OUTALL: ['BASE', ...named('OUT', [3, 4, 5, 6, 7, 8, 9, 10, 11])],
};

/** The same weight everywhere. */
const LEVELS: Record<string, number> = { NONE: 0, ALL: 1, 'ALL0.5': 0.5 };

/** Weight by block; see `blockWeight`. */
export type BlockWeights = ReadonlyMap<string, number>;

/**
 * Reads the value of `lbw`.
 *
 * @returns null when it is no preset and no list of 12, 17, 20 or 26 numbers
 */
export function readBlockWeights(text: string): BlockWeights | null {
  const trimmed = text.trim();
  const level = Object.hasOwn(LEVELS, trimmed) ? LEVELS[trimmed] : undefined;
  if (level !== undefined) return new Map(BLOCKS.map((block) => [block, level]));
  const preset = Object.hasOwn(PRESETS, trimmed) ? PRESETS[trimmed] : undefined;
  if (preset) return new Map(BLOCKS.map((block) => [block, preset.includes(block) ? 1 : 0]));
  const numbers = trimmed.split(',').map(readNumber);
  const blocks = LISTS[numbers.length];
  if (!blocks || numbers.includes(null)) return null;
  const given = new Map(blocks.map((block, i) => [block, numbers[i] as number]));
  return new Map(BLOCKS.map((block) => [block, given.get(block) ?? 0]));
}

/** Returns the weight of a layer's block; layers outside the blocks (time, first and last) have 1. */
export function blockWeight(
  weights: BlockWeights | null | undefined,
  { role }: NetworkLayers,
  { name }: Layer,
): number {
  if (!weights) return 1;
  if (role !== 'unet') return weights.get('BASE') ?? 1;
  const [, kind, number = ''] = /^(input|output|middle)_blocks?\.(?:(\d+)\.)?/.exec(name) ?? [];
  if (kind === undefined) return 1;
  const block = { input: `IN${number}`, output: `OUT${number}`, middle: 'MID' }[kind];
  return weights.get(block ?? '') ?? 1;
}
