import { describe, expect, it } from 'vitest';
import { splitAnd } from '../../../pipelines/prompt/and.ts';
import { table } from '../../fixtures/prompt/table.ts';

const parts = (prompt: string) => splitAnd(prompt).map(({ text, weight }) => [text, weight]);

describe('splitAnd', () => {
  it.each(table.conjunction)('%j', (prompt, expected) => {
    expect(parts(prompt)).toEqual(expected);
  });

  it('splits the published example', () => {
    expect(parts('a cat :1.2 AND a dog AND a penguin :2.2')).toEqual([
      ['a cat', 1.2],
      [' a dog', 1],
      [' a penguin', 2.2],
    ]);
  });

  it('keeps a weight of 400 digits finite', () => {
    const [part] = splitAnd(`a:${'9'.repeat(400)}`);
    expect(Number.isFinite(Math.fround(part!.weight))).toBe(true);
  });
});
