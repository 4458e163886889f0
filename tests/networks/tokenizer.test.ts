import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMMA_TOKEN, END_TOKEN, START_TOKEN, tokenize } from '../../networks/tokenizer.ts';

interface Recorded {
  short: [text: string, ids: number[]][];
  long: [unit: string, times: number, count: number, sha256: string][];
}

const recorded = JSON.parse(
  readFileSync(new URL('../fixtures/tokenizer/clip-ids.json', import.meta.url), 'utf8'),
) as Recorded;

/** What the garbage collector and a busy machine may add to a measurement. */
const NOISE_MS = 50;

/** Milliseconds of the fastest of three calls. */
function fastestMs(work: () => void): number {
  return Math.min(
    ...[1, 2, 3].map(() => {
      const start = performance.now();
      work();
      return performance.now() - start;
    }),
  );
}

describe('against transformers CLIPTokenizer', () => {
  it('has 2,000 recorded strings', () => {
    expect(recorded.short.length + recorded.long.length).toBe(2000);
  });

  it('gives the same ids for every short string', () => {
    const differing = recorded.short.filter(
      ([text, ids]) => JSON.stringify(tokenize(text)) !== JSON.stringify(ids),
    );
    expect(differing.map(([text, ids]) => ({ text, ids, got: tokenize(text) }))).toEqual([]);
  });

  it('gives the same ids for every long string', () => {
    for (const [unit, times, count, sha256] of recorded.long) {
      const ids = tokenize(unit.repeat(times));
      const bytes = Buffer.from(Uint16Array.from(ids).buffer);
      expect([ids.length, createHash('sha256').update(bytes).digest('hex')]).toEqual([
        count,
        sha256,
      ]);
    }
  });
});

describe('tokenize', () => {
  it('names the ids that chunks need', () => {
    expect(tokenize('<|startoftext|>,<|endoftext|>')).toEqual([
      START_TOKEN,
      COMMA_TOKEN,
      END_TOKEN,
    ]);
  });

  it('treats words that are members of every object as words', () => {
    expect(tokenize('constructor')).toEqual(recorded.short.find(([t]) => t === 'constructor')![1]);
    expect(tokenize('__proto__').every(Number.isInteger)).toBe(true);
  });

  it('reads a lone surrogate as the replacement character', () => {
    expect(tokenize('a\ud800b')).toEqual(tokenize('a\ufffdb'));
  });

  it('gives ids in range for any text, and the same again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const ids = tokenize(text);
        expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id <= END_TOKEN)).toBe(true);
        expect(tokenize(text)).toEqual(ids);
      }),
      { numRuns: 2000, seed: 7 },
    );
  });

  it('takes less than a millisecond for a 200-token prompt', () => {
    const prompt = 'masterpiece, best quality, 1girl, detailed face, '.repeat(20);
    expect(tokenize(prompt).length).toBeGreaterThanOrEqual(200);
    for (let i = 0; i < 50; i++) tokenize(prompt);
    expect(fastestMs(() => tokenize(prompt))).toBeLessThan(2);
  });

  it.each([
    ['one letter', 'a'],
    ['two letters', 'ab'],
    ['combining marks in reverse order', '\u0301\u0323\u0327'],
    ['emoji', '😀'],
    ['spaces', ' '],
    ['marker openings', '<|'],
    ['apostrophes', "'"],
    ['capital sigmas', 'Σ'],
  ])('stays near linear on a long run of %s', (_, unit) => {
    const text = unit.repeat(Math.ceil(50_000 / unit.length));
    tokenize(text);
    const once = fastestMs(() => tokenize(text));
    const twice = fastestMs(() => tokenize(text + text));
    expect(twice).toBeLessThan(2.5 * once + NOISE_MS);
  });
});
