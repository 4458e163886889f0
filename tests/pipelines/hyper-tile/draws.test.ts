/** What decides the tiles: Python's random numbers, the sides of maps, the layers by name. */
import { describe, expect, it } from 'vitest';
import { depthOf } from '../../../pipelines/hyper-tile/layers.ts';
import { guessSides, largestTile, listParts } from '../../../pipelines/hyper-tile/split-sides.ts';
import { PythonRandom } from '../../../pipelines/sampling/python-random.ts';
import recorded from '../../fixtures/hyper-tile/draws.json' with { type: 'json' };

describe('numbers of random.Random', () => {
  it.each(recorded.draws)('of seed $seed', ({ seed, drawn }) => {
    const random = new PythonRandom(seed);
    const bounds = [1, 2, 3, 1, 4, 5, 7, 64, 1, 2, 1000, 2 ** 31];
    const all = Array.from({ length: 60 }, () => bounds.map((n) => random.below(n))).flat();
    expect(all.slice(-drawn.length)).toEqual(drawn);
  });
});

describe('sides', () => {
  it('of a number of tokens are Python’s', () => {
    for (const [tokens, width, height, ...sides] of recorded.sides) {
      expect(guessSides(tokens as number, (width as number) / (height as number))).toEqual(sides);
    }
    expect(recorded.sides.length).toBeGreaterThan(250);
  });

  it('of a single token are one', () => {
    expect(guessSides(1, 1)).toEqual([1, 1]);
  });

  it('have a largest tile that is a power of two', () => {
    expect([largestTile(512, 768), largestTile(520, 512), largestTile(511, 512)]).toEqual([
      256, 8, 1,
    ]);
  });

  it('are cut into the most parts that the minimum allows', () => {
    expect(listParts(64, 16, 3)).toEqual([4, 2, 1]);
    expect(listParts(64, 16, 1)).toEqual([4]);
    expect(listParts(12, 16, 3)).toEqual([1]);
    expect(listParts(37, 16, 3)).toEqual([1]);
  });
});

describe('depths', () => {
  it.each([
    ['input_blocks.1.1.transformer_blocks.0.attn1', 0, null],
    ['input_blocks.5.1.transformer_blocks.0.attn1', 1, 0],
    ['input_blocks.5.1.transformer_blocks.1.attn1', null, 1],
    ['input_blocks.8.1.transformer_blocks.9.attn1', null, 1],
    ['output_blocks.11.1.transformer_blocks.0.attn1', 0, null],
    ['output_blocks.1.1.transformer_blocks.0.attn1', null, 1],
    ['output_blocks.5.1.transformer_blocks.0.attn1', 2, 0],
    ['middle_block.1.transformer_blocks.0.attn1', 3, 2],
    ['middle_block.1.transformer_blocks.10.attn1', null, null],
    ['input_blocks.1.1.transformer_blocks.0.attn2', null, null],
  ])('of %s', (name, sd, xl) => {
    expect([depthOf(name, false), depthOf(name, true)]).toEqual([sd, xl]);
  });
});
