/** Weights by block. */
import { describe, expect, it } from 'vitest';
import { blockWeight, readBlockWeights } from '../../lora/block-weights.ts';
import type { Layer, NetworkLayers } from '../../lora/layers.ts';

const of =
  (text: string) =>
  (name: string, role: NetworkLayers['role'] = 'unet') =>
    blockWeight(readBlockWeights(text), { role, prefix: '', layers: new Map() }, { name } as Layer);
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1).join();

describe('blockWeight', () => {
  it.each([
    // The lists of the extension: BASE IN01 IN02 IN04 IN05 IN07 IN08 MID OUT03 … OUT11
    [17, 'input_blocks.1.1.proj_in', 2],
    [17, 'input_blocks.8.0.in_layers.2', 7],
    [17, 'input_blocks.3.0.op', 0],
    [17, 'middle_block.1.proj_in', 8],
    [17, 'output_blocks.3.1.proj_in', 9],
    [17, 'output_blocks.11.0.skip_connection', 17],
    // BASE IN04 IN05 IN07 IN08 MID OUT00 … OUT05
    [12, 'input_blocks.4.1.transformer_blocks.0.attn1.to_q', 2],
    [12, 'middle_block.1.proj_out', 6],
    [12, 'output_blocks.0.1.proj_in', 7],
    [12, 'input_blocks.1.0.in_layers.2', 0],
    // BASE IN00 … IN08 MID OUT00 … OUT08
    [20, 'input_blocks.0.0', 2],
    [20, 'middle_block.0.in_layers.2', 11],
    [20, 'output_blocks.8.0.in_layers.2', 20],
    // BASE IN00 … IN11 MID OUT00 … OUT11
    [26, 'input_blocks.11.0.in_layers.2', 13],
    [26, 'output_blocks.0.0.in_layers.2', 15],
    [26, 'out.2', 1],
    [26, 'time_embed.0', 1],
  ])('of %d numbers, %s', (count, layer, expected) => {
    expect(of(numbers(count))(layer)).toBe(expected);
    expect(of(numbers(count))('encoder.layers.0.mlp.fc1', 'L')).toBe(1);
  });

  it.each([
    ['NONE', [0, 0, 0, 0, 0]],
    ['ALL', [1, 1, 1, 1, 1]],
    ['ALL0.5', [0.5, 0.5, 0.5, 0.5, 0.5]],
    ['INS', [1, 1, 0, 0, 0]],
    ['IND', [1, 0, 0, 0, 0]],
    ['INALL', [1, 1, 0, 0, 0]],
    ['MIDD', [1, 0, 1, 1, 0]],
    ['OUTD', [1, 0, 0, 1, 0]],
    ['OUTS', [1, 0, 0, 0, 1]],
    ['OUTALL', [1, 0, 0, 1, 1]],
  ])('preset %s', (preset, [base, ...rest]) => {
    const weight = of(preset);
    const layers = ['input_blocks.4.1', 'middle_block.1', 'output_blocks.4.1', 'output_blocks.9.1'];
    expect(layers.map((layer) => weight(`${layer}.proj_in`))).toEqual(rest);
    expect(weight('text', 'G')).toBe(base);
  });

  it.each(['', 'constructor', 'ins', '1,2', numbers(18), `${numbers(16)},x`, `${numbers(16)},R`])(
    '%j is neither a preset nor a list',
    (text) => expect(readBlockWeights(text)).toBeNull(),
  );
});
