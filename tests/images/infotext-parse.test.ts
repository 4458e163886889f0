import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildInfotext } from '../../images/infotext.ts';
import { MAX_INFOTEXT_CHARS, parseInfotext, scanPairs } from '../../images/infotext-parse.ts';
import { readFixture } from './fixture.ts';

const LINE = 'Steps: 20, Sampler: Euler a, Seed: 5';

describe('parameter lines', () => {
  const rows: [line: string, pairs: [string, string][]][] = JSON.parse(
    readFixture('pairs.json').toString(),
  );

  it('come apart as the regular expression of the web UI has it', () => {
    expect(rows.filter(([, pairs]) => pairs.length > 0).length).toBeGreaterThan(200);
    for (const [line, pairs] of rows) expect([line, scanPairs(line)]).toEqual([line, pairs]);
  });
});

describe('parts', () => {
  it('are prompt, negative prompt and parameters', () => {
    const parsed = parseInfotext(
      `a cat,\n  <lora:spo:1.5> \n\nsitting\nNegative prompt: blurry\n grey \n${LINE}, Size: 512x768`,
    );
    expect(parsed.prompt).toBe('a cat,\n<lora:spo:1.5>\n\nsitting');
    expect(parsed.negativePrompt).toBe('blurry\ngrey');
    expect([...parsed.parameters]).toEqual([
      ['Steps', '20'],
      ['Sampler', 'Euler a'],
      ['Seed', '5'],
      ['Size-1', '512'],
      ['Size-2', '768'],
    ]);
  });

  it('a last line with fewer than three pairs belongs to the prompt', () => {
    expect(parseInfotext('a cat\nSteps: 20, Seed: 5')).toEqual({
      prompt: 'a cat\nSteps: 20, Seed: 5',
      negativePrompt: '',
      parameters: new Map(),
    });
  });

  it('may all be missing', () => {
    const nothing = { prompt: '', negativePrompt: '', parameters: new Map() };
    expect(parseInfotext('')).toEqual(nothing);
    expect(parseInfotext(' \r\n ')).toEqual(nothing);
    expect(parseInfotext(LINE)).toMatchObject({ prompt: '', negativePrompt: '' });
    expect(parseInfotext(`Negative prompt: x\n${LINE}`)).toMatchObject({
      prompt: '',
      negativePrompt: 'x',
    });
  });

  it('a value without text is left out, the last of two equal keys wins', () => {
    const { parameters } = parseInfotext('Steps: 1, Sampler: , Seed: 5, Steps: 2');
    expect([...parameters]).toEqual([
      ['Steps', '2'],
      ['Seed', '5'],
    ]);
  });

  it('a quoted value that is no JSON stays as it is', () => {
    expect(parseInfotext(`${LINE}, Bad: "\\x, y"`).parameters.get('Bad')).toBe('"\\x, y"');
  });

  it('keys of Object.prototype are keys like others', () => {
    const { parameters } = parseInfotext(`${LINE}, __proto__: x, constructor: y`);
    expect(parameters.get('__proto__')).toBe('x');
    expect(parameters.get('constructor')).toBe('y');
  });
});

describe('round trip', () => {
  const promptLine = fc
    .string({ unit: 'grapheme' })
    .map((text) => text.replace(/[\r\n\u2028\u2029]/g, ' ').trim())
    .filter((text) => text !== '' && !text.startsWith('Negative prompt:'));
  const prompt = fc.array(promptLine, { minLength: 1, maxLength: 4 }).map((all) => all.join('\n'));
  const key = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_ \-/]{0,20}[A-Za-z0-9]$/);
  // Text that JSON reads as a string, or that ends a line in white space, does not survive A1111's format.
  const value = fc
    .string({ unit: 'grapheme', minLength: 1 })
    .filter((text) => text.trim() === text && !text.startsWith('"') && !/^\d+x\d+$/.test(text));

  it('gives back prompts, keys and values', () => {
    const fields = fc.uniqueArray(fc.tuple(key, value), {
      minLength: 3,
      maxLength: 12,
      selector: ([name]) => name,
    });
    fc.assert(
      fc.property(prompt, fc.option(prompt, { nil: '' }), fields, (text, negative, pairs) => {
        fc.pre(pairs.every(([name, content]) => name !== content));
        const built = buildInfotext({ prompt: text, negativePrompt: negative, fields: pairs });
        expect(parseInfotext(built)).toEqual({
          prompt: text,
          negativePrompt: negative,
          parameters: new Map(pairs),
        });
      }),
      { numRuns: 500 },
    );
  });

  it('any text at all parses', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        expect(parseInfotext(`${text}\n${LINE}`).parameters.get('Seed')).toBe('5');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('attacks', () => {
  const attacks: [string, string][] = [
    ['keys without end', 'a'],
    ['words and blanks', 'a '],
    ['colons', 'aa:'],
    ['open quotes', 'aa:"'],
    ['open quotes with escapes', 'aa:"\\'],
    ['backslashes', '\\'],
    ['quotes', '"'],
    ['blanks', ' '],
    ['blanks behind a colon', 'aa: '],
    ['commas', ','],
    ['lines', '\n'],
    ['negative prompts', 'Negative prompt:\n'],
    ['sizes', 'aa: 1x1,'],
  ];

  it.each(attacks)('%s at the limit take under 50 ms', (_, piece) => {
    const text = piece.repeat(MAX_INFOTEXT_CHARS).slice(0, MAX_INFOTEXT_CHARS);
    parseInfotext(text.slice(0, 10_000));
    const best = Math.min(
      ...[1, 2, 3].map(() => {
        // Processor time: other work on the machine does not count.
        const start = process.cpuUsage().user;
        parseInfotext(text);
        return (process.cpuUsage().user - start) / 1000;
      }),
    );
    expect(best).toBeLessThan(50);
  });

  it('one character more is refused', () => {
    expect(() => parseInfotext('a'.repeat(MAX_INFOTEXT_CHARS + 1))).toThrow(
      expect.objectContaining({ code: 'TEXT_TOO_LARGE' }),
    );
  });
});
