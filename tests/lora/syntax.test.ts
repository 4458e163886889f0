import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractNetworkTags } from '../../lora/syntax.ts';
import { table } from '../fixtures/prompt/table.ts';

describe('extractNetworkTags', () => {
  it.each(table.tags)('%j', (prompt, text, tags) => {
    const found = extractNetworkTags(prompt);
    expect(found.text).toBe(text);
    expect(found.tags).toEqual(
      tags.map(([kind, args, named]) => ({ kind, args, named: new Map(Object.entries(named)) })),
    );
  });

  it('reads positional and named items', () => {
    expect(extractNetworkTags('a <lora:style:0.8:1:dyn=4:te=0.5> b')).toEqual({
      text: 'a  b',
      tags: [
        {
          kind: 'lora',
          args: ['style', '0.8', '1'],
          named: new Map([
            ['dyn', '4'],
            ['te', '0.5'],
          ]),
        },
      ],
    });
  });

  it('touches no prototype', () => {
    extractNetworkTags('<lora:x:__proto__=polluted:constructor=y>');
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('loses nothing but tags', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 5 }),
      fc.constantFrom('<lora:a:1>', '<', '>', ':', '<x', '=', '<lora:', 'a>'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const prompt = pieces.join('');
        const { text, tags } = extractNetworkTags(prompt);
        expect(tags.length === 0).toBe(text === prompt);
        // A tag has at least `<k:x>`.
        expect(prompt.length - text.length).toBeGreaterThanOrEqual(5 * tags.length);
        // What is left is the prompt with spans removed: its characters in order.
        let at = 0;
        for (const char of text) at = prompt.indexOf(char, at) + char.length;
        expect(at).toBeLessThanOrEqual(prompt.length);
      }),
      { numRuns: 10_000, seed: 11 },
    );
  });
});
