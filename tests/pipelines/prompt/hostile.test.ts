import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractNetworkTags } from '../../../lora/syntax.ts';
import { readLoraTags } from '../../../lora/tags.ts';
import { splitAnd } from '../../../pipelines/prompt/and.ts';
import { parseAttention } from '../../../pipelines/prompt/attention.ts';
import { chunkPrompt } from '../../../pipelines/prompt/chunks.ts';
import { stripComments } from '../../../pipelines/prompt/comments.ts';
import { planConditioning } from '../../../pipelines/prompt/conditioning-plan.ts';
import { scheduleText } from '../../../pipelines/prompt/schedule.ts';

const RUNS = 10_000;
const STEPS = 20;
/** What a request may hold: a prompt longer than this is refused. */
const MAX_PROMPT = 20_000;
const LONG_PROMPT = 100_000;
const TIME_LIMIT_MS = 50;
/** What the garbage collector and a busy machine may add to a measurement. */
const NOISE_MS = 10;
const ROUNDS = 8;

const parsers: [name: string, parse: (prompt: string) => unknown][] = [
  ['attention', parseAttention],
  ['schedule', (prompt) => scheduleText(prompt, { steps: STEPS })],
  ['conjunction', splitAnd],
  ['comments', stripComments],
  ['tags', extractNetworkTags],
  ['LoRA weights', (prompt) => readLoraTags(extractNetworkTags(prompt).tags, 'first')],
];

const prompt = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.constantFrom(
        ...'()[]:|\\#<>=.+-0123456789 \n',
        ...[
          'BREAK',
          'AND',
          ':1.2)',
          ': 0.5 ]',
          '[a:b:3]',
          '[a|b]',
          '(x:1.1)',
          '<lora:x:1>',
          '\\(',
          ', ',
        ],
      ),
    ),
    { maxLength: 30 },
  )
  .map((pieces) => pieces.join(''));

/** What is left of a text when the characters that the grammar may take are gone. */
const letters = (text: string) => text.replaceAll(/[^a-z]/g, '');

function check(property: fc.IProperty<[string]>, seed: number): void {
  fc.assert(property, { numRuns: RUNS, seed });
}

describe('10,000 random prompts', () => {
  it('attention loses no text, and its weights are finite', () => {
    check(
      fc.property(prompt, (text) => {
        const segments = parseAttention(text);
        expect(segments.length).toBeGreaterThan(0);
        expect(segments.every(({ weight }) => Number.isFinite(Math.fround(weight)))).toBe(true);
        expect(letters(segments.map((segment) => segment.text).join(''))).toBe(letters(text));
        // Neighbours of equal weight are joined.
        for (let i = 1; i < segments.length; i++) {
          expect(segments[i]!.weight).not.toBe(segments[i - 1]!.weight);
        }
      }),
      1,
    );
  });

  it('a prompt without special characters passes through everything', () => {
    const plain = fc
      .string({ unit: 'binary', maxLength: 60 })
      .map((text) => text.replaceAll(/[()[\]:|\\#<>]|BREAK|AND/g, ''))
      .filter((text) => !/BREAK|AND/.test(text));
    check(
      fc.property(plain, (text) => {
        expect(parseAttention(text)).toEqual([{ text, weight: 1 }]);
        expect(scheduleText(text, { steps: STEPS })).toEqual([{ endStep: STEPS, text }]);
        expect(extractNetworkTags(text)).toEqual({ text, tags: [] });
        expect(stripComments(text)).toBe(text);
        expect(text.startsWith(splitAnd(text)[0]!.text)).toBe(true);
      }),
      2,
    );
  });

  it('schedules end at the last step, ascend, and show every letter at some step', () => {
    check(
      fc.property(prompt, (text) => {
        const schedule = scheduleText(text, { steps: STEPS });
        const ends = schedule.map(({ endStep }) => endStep);
        expect(ends.at(-1)).toBe(STEPS);
        expect(ends.every((end, i) => end >= 1 && (i === 0 || end > ends[i - 1]!))).toBe(true);
        // With nothing that switches, the text is the prompt itself.
        if (!/[:|]/.test(text)) expect(schedule).toEqual([{ endStep: STEPS, text }]);
        for (const entry of schedule) {
          let at = 0;
          for (const letter of letters(entry.text)) at = text.indexOf(letter, at) + 1;
          expect(at).toBeLessThanOrEqual(text.length);
        }
      }),
      3,
    );
  });

  it('AND loses nothing but itself, weights and spaces', () => {
    check(
      fc.property(prompt, (text) => {
        const parts = splitAnd(text);
        expect(parts.every(({ weight }) => Number.isFinite(Math.fround(weight)))).toBe(true);
        expect(letters(parts.map((part) => part.text).join(''))).toBe(letters(text));
      }),
      4,
    );
  });

  it('comments go, and only they', () => {
    check(
      fc.property(prompt, (text) => {
        const kept = stripComments(text);
        expect(kept).not.toContain('#');
        if (!text.includes('#')) expect(kept).toBe(text);
        const before = text.slice(0, Math.max(0, text.indexOf('#')));
        expect(kept.startsWith(before.replace(/\n$/, ''))).toBe(true);
      }),
      5,
    );
  });

  it('the plan names a text for every step', () => {
    check(
      fc.property(prompt, (text) => {
        const plan = planConditioning({ prompt: text, negativePrompt: text, steps: 3 });
        const all = [...plan.positive, plan.negative].flatMap(({ schedule }) => schedule);
        expect(all.every((entry) => plan.texts[entry.text] !== undefined)).toBe(true);
        expect(new Set(plan.texts).size).toBe(plan.texts.length);
      }),
      6,
    );
  });
});

/** Unit repeated to a length; the parts before and after once. */
const attacks: [before: string, unit: string, after: string][] = [
  ...'()[]:|\\#<>=, \n.0-+_aé'.split('').map((unit): [string, string, string] => ['', unit, '']),
  ...[
    '()',
    '[]',
    '([',
    ')(',
    '][',
    '((',
    '(a',
    '[a',
    '(a:',
    '[a:',
    '[a|',
    '[|',
    '(:',
    '::',
    '|:',
    ':1',
    ':1)',
    '(:1)',
    '(a:1.1)',
    '[a:b:3]',
    '[a|b]',
    '[:',
    '\\(',
    '\\\\',
    '\\|',
    'BREAK',
    ' BREAK',
    'BREAK ',
    'AND',
    ' AND ',
    'a:1 AND ',
    '<a',
    '<a:',
    '<a:b',
    '<a:b>',
    '<<',
    '#\n',
    '\n#',
    '1.',
    '.1',
    ': ',
    ' :',
    ':\n',
    'a]',
    '1]',
  ].map((unit): [string, string, string] => ['', unit, '']),
  ['(', 'a ', ')'],
  ['(a:', '1', ')'],
  ['(a:', ' ', '1)'],
  ['[a:b:', '1', ']'],
  ['[a:b:', ' ', '1]'],
  ['[a:b:1', ' ', ']'],
  ['a:', '1', ''],
  ['a :', ' ', '1'],
  ['('.repeat(199), '(a)', ''],
  ['['.repeat(199), '(a:1.1)b', ''],
  ['('.repeat(9000), 'a', ')'.repeat(9000)],
  ['['.repeat(5000), 'a:1', ']'.repeat(5000)],
  ['['.repeat(3000), 'a', ':b:1]'.repeat(3000)],
  ['('.repeat(9000), '[a:b:1]', ''],
  ['<a:', 'b:', '>'],
  ['<lora:a:', '1@0.5,', '>'],
  ['<lora:a:', '1|', '>'],
  ['<lora:a:lbw=', '1,', '>'],
  ['<lora:a:lbw=', '0', '>'],
  ['<lora:a:start=', '1', '>'],
  ['<lora:a:unet=', '@', '>'],
  ['', '<lora:a:1:lbw=1,0:start=0.5>', ''],
  ['<a', ' ', ':b>'],
];

/** The attack at a length, which the parts before and after may exceed. */
function build([before, unit, after]: (typeof attacks)[number], length: number): string {
  const left = length - before.length - after.length;
  return before + unit.repeat(Math.max(1, Math.ceil(left / unit.length))) + after;
}

/** Milliseconds of the fastest of some calls; one that is fast enough ends the search. */
function fastestMs(work: () => unknown, calls: number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < calls; i++) {
    const start = performance.now();
    work();
    best = Math.min(best, performance.now() - start);
    if (best < TIME_LIMIT_MS / 10) break;
  }
  return best;
}

describe('attack strings', () => {
  it('are at least 60', () => {
    expect(attacks.length).toBeGreaterThanOrEqual(60);
  });

  const slowest = (parse: (prompt: string) => unknown, prompts: string[]) =>
    prompts
      .map((text) => ({ text: text.slice(0, 40), ms: fastestMs(() => parse(text), ROUNDS) }))
      .filter(({ ms }) => ms >= TIME_LIMIT_MS);

  describe.each(parsers)('%s', (_, parse) => {
    it('takes under 50 ms for each at the longest prompt', () => {
      const prompts = attacks.map((attack) => build(attack, MAX_PROMPT));
      expect(slowest(parse, prompts)).toEqual([]);
    });

    it('takes under 50 ms for 100,000 characters of brackets', () => {
      const units = ['(', ')', '[', ']', '()', '[]', '([', ')(', '[(])', '(((', '[:', '[|'];
      const prompts = units.map((unit) => build(['', unit, ''], LONG_PROMPT));
      const half = LONG_PROMPT / 2;
      prompts.push('('.repeat(half) + ')'.repeat(half), '['.repeat(half) + ']'.repeat(half));
      expect(slowest(parse, prompts)).toEqual([]);
    });

    it('takes at most 2.5 times as long for twice the length', () => {
      const grown = attacks.filter((attack) => {
        const [short, long] = [build(attack, MAX_PROMPT), build(attack, 2 * MAX_PROMPT)];
        let [once, twice] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
        // A busy machine spoils one round; growth that is real spoils them all.
        for (let round = 0; round < ROUNDS; round++) {
          once = Math.min(
            once,
            fastestMs(() => parse(short), 2),
          );
          twice = Math.min(
            twice,
            fastestMs(() => parse(long), 2),
          );
          if (twice <= 2.5 * once + NOISE_MS) return false;
        }
        return true;
      });
      expect(grown).toEqual([]);
    });

    it('takes a prompt of a million characters without running out of stack', () => {
      for (const unit of ['a', '(', '[', '[a:', '\\(', 'a\\']) {
        expect(() => parse(unit.repeat(1_000_000 / unit.length))).not.toThrow();
      }
    });
  });

  it('chunks take under 50 ms for each at the longest prompt', () => {
    chunkPrompt('warm up');
    const prompts = attacks.map((attack) => build(attack, MAX_PROMPT).slice(0, MAX_PROMPT));
    expect(slowest(chunkPrompt, prompts)).toEqual([]);
  });
});
