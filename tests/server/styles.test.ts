import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applyStyles,
  applyStylesByName,
  formatStyles,
  type PromptStyle,
  parseStyles,
} from '../../server/styles.ts';

const list = (csv: string) =>
  [...parseStyles(csv).values()].map((s) => [s.name, s.prompt, s.negativePrompt]);

describe('applyStyles', () => {
  it.each<[string, string[], string]>([
    ['cat', [], 'cat'],
    ['cat', ['oil painting'], 'cat, oil painting'],
    [' cat ', [' oil '], 'cat, oil'],
    ['', ['oil'], 'oil'],
    [' cat ', [''], 'cat'],
    ['cat', ['photo of {prompt}, 8k'], 'photo of cat, 8k'],
    [' cat ', ['{prompt}{prompt}'], ' cat  cat '],
    ['cat', ['a', 'b {prompt} c', 'd'], 'b cat, a c, d'],
    ['$& $1', ['{prompt}!'], '$& $1!'],
  ])('%j with %j', (prompt, styles, expected) => {
    expect(applyStyles(prompt, styles)).toBe(expected);
  });
});

describe('applyStylesByName', () => {
  const styles = new Map<string, PromptStyle>([
    ['oil', { name: 'oil', prompt: 'oil', negativePrompt: 'photo' }],
    ['wrap', { name: 'wrap', prompt: 'the {prompt}', negativePrompt: '' }],
  ]);

  it('applies both texts in the order asked for', () => {
    expect(
      applyStylesByName({ prompt: 'cat', negativePrompt: 'blurry' }, ['oil', 'wrap'], styles),
    ).toEqual({ prompt: 'the cat, oil', negativePrompt: 'blurry, photo' });
  });

  it('adds nothing for a name that no style has', () => {
    expect(
      applyStylesByName({ prompt: 'cat', negativePrompt: '' }, ['constructor'], styles),
    ).toEqual({ prompt: 'cat', negativePrompt: '' });
  });
});

describe('parseStyles', () => {
  it('reads what the web UI writes', () => {
    const csv =
      '\ufeffname,prompt,negative_prompt\r\noil,"oil, canvas","photo ""real"""\r\nlines,"a\nb",\r\n';
    expect(list(csv)).toEqual([
      ['oil', 'oil, canvas', 'photo "real"'],
      ['lines', 'a\nb', ''],
    ]);
  });

  it.each<[string, string, string[][]]>([
    ['empty text', '', []],
    ['a header alone', 'name,prompt', []],
    ['the older column', 'name,text\na,b', [['a', 'b', '']]],
    ['columns in another order', 'negative_prompt,name,prompt\nn,a,p', [['a', 'p', 'n']]],
    [
      'no byte order mark, bare line feeds',
      'name,prompt\na,b\nc,d',
      [
        ['a', 'b', ''],
        ['c', 'd', ''],
      ],
    ],
    [
      'carriage returns alone',
      'name,prompt\ra,b\rc,d\r',
      [
        ['a', 'b', ''],
        ['c', 'd', ''],
      ],
    ],
    ['spaces before fields', 'name, prompt\na, "b, c"', [['a', 'b, c', '']]],
    ['empty lines', 'name,prompt\n\n\na,b\n\n', [['a', 'b', '']]],
    ['comment rows', 'name,prompt\n# c,d\na,b', [['a', 'b', '']]],
    ['rows without a name', 'name,prompt\n,b\na,b', [['a', 'b', '']]],
    ['missing fields', 'name,prompt,negative_prompt\na', [['a', '', '']]],
    ['too many fields', 'name,prompt\na,b,c,d', [['a', 'b', '']]],
    ['the last of two rows with one name', 'name,prompt\na,b\na,c', [['a', 'c', '']]],
    ['an open quote', 'name,prompt\na,"b\nc', [['a', 'b\nc', '']]],
    ['text after a closing quote', 'name,prompt\na,"b"c', [['a', 'bc', '']]],
    ['a quote within a field', 'name,prompt\na,b"c', [['a', 'b"c', '']]],
    ['a name like a member of every object', 'name,prompt\n__proto__,b', [['__proto__', 'b', '']]],
    ['no column called name', 'title,prompt\na,b', []],
  ])('%s', (_, csv, expected) => {
    expect(list(csv)).toEqual(expected);
  });

  it('reads back whatever formatStyles writes', () => {
    const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', 'é', '#', '{') });
    const name = fc.string({ unit: fc.constantFrom('n', '"', ',', '\n', ' ') });
    fc.assert(
      fc.property(fc.array(fc.tuple(name, field, field)), (rows) => {
        const styles = new Map<string, PromptStyle>();
        for (const [suffix, prompt, negativePrompt] of rows) {
          styles.set(`x${suffix}`, { name: `x${suffix}`, prompt, negativePrompt });
        }
        expect(parseStyles(formatStyles(styles.values()))).toEqual(styles);
      }),
      { numRuns: 2000, seed: 3 },
    );
  });

  it('takes any text and stays linear', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ') }), (csv) => {
        expect(parseStyles(`name,prompt\n${csv}`)).toBeInstanceOf(Map);
      }),
      { numRuns: 2000, seed: 5 },
    );
    for (const unit of ['"', '""', ',', '" ', 'a"', '\n', '"a,']) {
      const start = performance.now();
      parseStyles(`name,prompt\n${unit.repeat(100_000 / unit.length)}`);
      expect(performance.now() - start).toBeLessThan(100);
    }
  });
});
