import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeImage } from '../../../images/encode.ts';
import { joinPieces } from '../../../pipelines/captioning/word-pieces.ts';
import type { CaptionJob } from '../../../pipelines/job.ts';
import { createRunner } from '../../../pipelines/runner.ts';
import captions from '../../fixtures/captioner/captions.json' with { type: 'json' };
import { CAPTIONER, recordedTensor, VOCABULARY } from '../../networks/captioner/fixture.ts';
import { recordHooks } from '../job.ts';
import { SETTINGS } from '../tiny.ts';

const PROMPT = 'a picture of ';

const runner = createRunner(SETTINGS);
const folder = mkdtempSync(path.join(tmpdir(), 'sdserve-caption-'));
let job: CaptionJob;

beforeAll(async () => {
  const { shape, bytes } = await recordedTensor('picture');
  const [height = 0, width = 0] = shape;
  const output = { format: 'png', quality: 80 } as const;
  const picture = await encodeImage({ width, height, rgb: bytes }, output, null);
  job = {
    kind: 'caption',
    picture,
    path: CAPTIONER,
    vocabulary: VOCABULARY,
    minTokens: 24,
    maxTokens: 48,
  };
});
afterAll(async () => {
  await runner.unload();
  rmSync(folder, { recursive: true });
});

describe('a caption', () => {
  it.each(captions)(
    'of $min to $max tokens is that of transformers',
    async ({ min, max, text }) => {
      const hooks = recordHooks();
      const bounds = { minTokens: min, maxTokens: max };
      const { infotexts, info, images } = await runner.run({ ...job, ...bounds }, hooks);
      expect(text.startsWith(PROMPT)).toBe(true);
      expect(infotexts).toEqual([text.slice(PROMPT.length)]);
      expect([info, images]).toEqual([{ caption: infotexts[0] }, []]);
    },
  );

  it('tells how far it is, and ends early when it is interrupted', async () => {
    const hooks = recordHooks();
    const seen: number[] = [];
    hooks.onProgress = ({ samplingStep, samplingSteps, job: phase }) => {
      seen.push(samplingStep);
      expect([samplingSteps, phase]).toEqual([44, 'interrogate']);
      if (seen.length === 4) hooks.control.interrupted = true;
    };
    const { infotexts } = await runner.run({ ...job, minTokens: 40 }, hooks);
    expect(seen).toEqual([0, 0, 1, 2]);
    const [longest] = captions;
    const whole = joinWords(longest?.tokens.slice(4, 7) ?? []);
    expect(infotexts).toEqual([whole]);
  });

  it.each([
    ['no words', ''],
    ['words of another model', '[SEP]\na\npicture\nof\n'],
    ['words without the end', `${Array.from({ length: 46 }, (_, i) => `w${i}`).join('\n')}\n`],
    ['words without those of the prompt', `${['[SEP]', ...Array(45).fill('x')].join('\n')}\n`],
  ])('needs the words of its model: %s', async (_, text) => {
    const vocabulary = path.join(folder, 'vocab.txt');
    writeFileSync(vocabulary, text);
    await expect(runner.run({ ...job, vocabulary }, recordHooks())).rejects.toMatchObject({
      code: 'CAPTIONER_INCOMPLETE',
    });
  });

  it('refuses a picture that is none, and a model that is another', async () => {
    const picture = Buffer.from('hello');
    await expect(runner.run({ ...job, picture }, recordHooks())).rejects.toMatchObject({
      code: 'UNSUPPORTED_FORMAT',
    });
    const other = CAPTIONER.replace('model', 'recorded');
    await expect(runner.run({ ...job, path: other }, recordHooks())).rejects.toMatchObject({
      code: 'NOT_A_CAPTIONER',
    });
  });
});

const PIECES = ['[PAD]', 'a', 'cat', '##s', ',', '.', "'", 's', 't', 'don', "n't", 'is', '!'];

function joinWords(ids: readonly number[]): string {
  // The tiny model's: small, ##s, woman.
  const words: Record<number, string> = { 11: 'small', 20: '##s', 43: 'woman' };
  return ids
    .map((id) => words[id] ?? '?')
    .join(' ')
    .replaceAll(' ##', '');
}

describe('word pieces', () => {
  const join = (...pieces: string[]) =>
    joinPieces(
      { pieces: PIECES, end: 0, begin: 13 },
      pieces.map((piece) => PIECES.indexOf(piece)),
    );

  it.each([
    [['a', 'cat', '##s'], 'a cats'],
    [['cat', ',', 'cat', '.'], 'cat, cat.'],
    [['cat', "'", 's', 'cat'], "cat's cat"],
    [['is', "n't", 'a', 'cat', '!'], "isn't a cat!"],
    [['[PAD]', 'a', '[PAD]'], 'a'],
  ])('%j are "%s"', (pieces, text) => {
    expect(join(...pieces)).toBe(text);
  });

  it('beyond the list are markers and say nothing', () => {
    expect(joinPieces({ pieces: PIECES, end: 0, begin: 13 }, [13, 1, 99])).toBe('a');
  });
});
