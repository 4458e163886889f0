import { describe, expect, it } from 'vitest';
import { isBreak, parseAttention } from '../../../pipelines/prompt/attention.ts';
import { table } from '../../fixtures/prompt/table.ts';

const parse = (text: string) =>
  parseAttention(text).map(({ text, weight }): [string, number] => [text, weight]);

describe('published examples', () => {
  it.each<[string, [string, number][]]>([
    ['(a: 1.2 )', [['a', 1.2]]],
    ['(a:.5)', [['a', 0.5]]],
    ['(a:-1)', [['a', -1]]],
    [
      '((a:1.5) b)',
      [
        ['a', 1.5 * 1.1],
        [' b', 1.1],
      ],
    ],
    ['((a):1.5)', [['a', 1.1 * 1.5]]],
    ['(a:1.5', [['a:1.5', 1.1]]],
    ['a:1.2', [['a:1.2', 1]]],
    ['(a:b:1.2)', [['a:b', 1.2]]],
    ['(a\\)', [['a)', 1.1]]],
    ['[a:1.2]', [['a:1.2', 1 / 1.1]]],
    ['(unnecessary)(parens)', [['unnecessaryparens', 1.1]]],
    ['\\(literal\\]', [['(literal]', 1]]],
    [
      'a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).',
      [
        ['a ', 1],
        ['house', 1.3 * 1.1 * 1.1],
        [' ', 1.1],
        ['on', (1 / 1.1) * 1.1],
        [' a ', 1.1],
        ['hill', 0.5 * 1.1],
        [', sun, ', 1.1],
        ['sky', 1.1 * 1.1 * 1.1 * 1.1],
        ['.', 1.1],
      ],
    ],
  ])('%s', (prompt, segments) => {
    expect(parse(prompt)).toEqual(segments);
  });

  it('keeps the text of a number that is none', () => {
    expect(parse('(a:1.2.3)')).toEqual([['a:1.2.3', 1.1]]);
  });
});

describe('reference table', () => {
  it.each(table.attention)('%j', (prompt, segments) => {
    expect(parse(prompt)).toEqual(segments);
  });
});

describe('isBreak', () => {
  it('knows BREAK from a text that reads so', () => {
    expect(parseAttention('a BREAK b').map(isBreak)).toEqual([false, true, false]);
    expect(parseAttention('(a BREAK b)').some(isBreak)).toBe(false);
    expect(isBreak({ text: 'BREAK', weight: 1 })).toBe(false);
    expect(isBreak({ text: 'x', weight: -1 })).toBe(false);
  });
});

describe('limits', () => {
  it('keeps every weight finite', () => {
    const huge = `(a:${'9'.repeat(400)})`;
    const weights = [huge, `(${huge}:0)`, `(a:-${'9'.repeat(400)})`, '('.repeat(9000).concat('a')];
    for (const text of weights) {
      for (const { weight } of parseAttention(text)) {
        expect(Number.isFinite(Math.fround(weight))).toBe(true);
      }
    }
  });

  it('matches brackets deeper than 200 and lets them weigh nothing', () => {
    const nested = (depth: number) => `${'('.repeat(depth)}a${')'.repeat(depth)} b`;
    expect(parse(nested(200))[0]![1]).toBeCloseTo(1.1 ** 200, -2);
    expect(parse(nested(5000))).toEqual(parse(nested(200)));
  });
});
