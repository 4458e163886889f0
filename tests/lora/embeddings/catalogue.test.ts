import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  findCandidates,
  scanEmbeddings,
  toEmbeddingLists,
} from '../../../lora/embeddings/catalogue.ts';
import type { EncoderWidth } from '../../../lora/embeddings/parts.ts';
import { chunkPrompt } from '../../../pipelines/prompt/chunks.ts';
import { planConditioning } from '../../../pipelines/prompt/conditioning-plan.ts';
import { createEmbeddingLookup } from '../../../pipelines/prompt/embeddings.ts';
import { type SmallTensor, writeTensorFile } from '../write-tensors.ts';

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-embeddings-'));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

const put = (name: string, tensors: Record<string, SmallTensor>) =>
  writeTensorFile(path.join(dir, `${name}.safetensors`), tensors);
const single = (rows: number, width: number) => ({ emb_params: { shape: [rows, width] } });
const pair = (rows: number) => ({
  clip_l: { shape: [rows, 768] },
  clip_g: { shape: [rows, 1280] },
});
const scan = () => scanEmbeddings([dir]);

const SD1: EncoderWidth[] = [{ role: 'L', width: 768 }];
const SD2: EncoderWidth[] = [{ role: 'H', width: 1024 }];
const SDXL: EncoderWidth[] = [
  { role: 'L', width: 768 },
  { role: 'G', width: 1280 },
];
const REFINER: EncoderWidth[] = [{ role: 'G', width: 1280 }];

describe('scanEmbeddings', () => {
  it('reads every layout, to the bottom', async () => {
    put('a', single(3, 768));
    put('sub/b', pair(8));
    put('c', { '<my-concept>': { shape: [768] } });
    put('d', { 'string_to_param.*': { shape: [2, 768] }, step: { shape: [1] } });
    const { entries } = await scan();
    expect(entries.map((e) => [e.embeddingName, e.vectors, e.widths, e.fault])).toEqual([
      ['a', 3, { single: 768 }, null],
      ['c', 1, { single: 768 }, null],
      ['d', 2, { single: 768 }, null],
      ['b', 8, { clip_l: 768, clip_g: 1280 }, null],
    ]);
  });

  it('lists pickles and damaged files with the reason, pictures not at all', async () => {
    for (const name of ['old.pt', 'old.bin', 'cut.safetensors', 'x.png', 'x.preview.webp'])
      fs.writeFileSync(path.join(dir, name), 'nonsense');
    const { entries, skipped } = await scan();
    expect(entries.map(({ name, fault }) => [name, fault?.slice(0, 8)])).toEqual([
      ['cut.safetensors', 'cut.safe'],
      ['old.bin', 'a pickle'],
    ]);
    expect(skipped).toEqual([{ name: 'old.pt', reason: 'old.bin has the same name' }]);
  });

  it('takes the safetensors file of a name, not the pickle', async () => {
    fs.writeFileSync(path.join(dir, 'easy.pt'), 'nonsense');
    put('easy', single(1, 768));
    const { entries } = await scan();
    expect(entries.map(({ name, fault }) => [name, fault])).toEqual([['easy.safetensors', null]]);
  });

  it.each<[string, Record<string, SmallTensor>, RegExp]>([
    ['no tensor', {}, /0 tensors/],
    ['several tensors', { a: { shape: [1, 8] }, b: { shape: [1, 8] } }, /2 tensors/],
    ['three axes', { emb_params: { shape: [1, 1, 8] } }, /\[1, 1, 8\]/],
    ['no rows', { emb_params: { shape: [0, 8] } }, /\[0, 8\]/],
    ['a scalar', { emb_params: { shape: [] } }, /no list of vectors/],
    ['too many rows', { emb_params: { shape: [1025, 1] } }, /1025 vectors and at most 1024/],
    [
      'unequal parts',
      { clip_l: { shape: [1, 2] }, clip_g: { shape: [2, 2] } },
      /different numbers/,
    ],
  ])('refuses %s', async (_, tensors, fault) => {
    put('bad', tensors);
    const { entries } = await scan();
    expect(entries[0]?.fault).toMatch(fault);
    expect(entries[0]?.vectors).toBe(0);
  });

  it('reads headers of changed files only', async () => {
    put('a', single(1, 768));
    const first = await scan();
    const second = await scanEmbeddings([dir], first);
    expect(second.entries[0]?.widths).toBe(first.entries[0]?.widths);
    put('a', single(22, 768));
    expect((await scanEmbeddings([dir], second)).entries[0]?.vectors).toBe(22);
  });
});

describe('toEmbeddingLists', () => {
  it.each<[string, EncoderWidth[] | null, string[], string[]]>([
    ['SD 1.x', SD1, ['one'], ['two', 'xl']],
    ['SD 2.x', SD2, ['two'], ['one', 'xl']],
    ['SDXL', SDXL, ['xl'], ['one', 'two']],
    ['the refiner', REFINER, ['xl'], ['one', 'two']],
    ['no known checkpoint', null, ['one', 'two', 'xl'], []],
  ])('sorts by width for %s', async (_, encoders, loaded, skipped) => {
    put('one', single(3, 768));
    put('two', single(1, 1024));
    put('xl', pair(2));
    fs.writeFileSync(path.join(dir, 'old.pt'), 'nonsense');
    const lists = toEmbeddingLists(await scan(), encoders);
    expect(Object.keys(lists.loaded)).toEqual(loaded);
    expect(Object.keys(lists.skipped)).toEqual(skipped);
    expect({ ...lists.loaded, ...lists.skipped }.xl).toEqual({
      step: null,
      sd_checkpoint: null,
      sd_checkpoint_name: null,
      shape: 2048,
      vectors: 2,
    });
  });

  it('has names like those of Object as names', async () => {
    put('__proto__', single(1, 768));
    put('constructor', single(1, 768));
    const { loaded } = toEmbeddingLists(await scan(), SD1);
    expect(Object.keys(loaded).sort()).toEqual(['__proto__', 'constructor']);
  });
});

describe('findCandidates', () => {
  it('finds every embedding that the prompt’s schedule comes to name', async () => {
    const names = ['a', 'Ab', 'b a', 'a,b', 'ΑΣ', 'İb', 'é', '(b', 'b_1.5', 'a-b'];
    for (const name of names) put(name, single(1, 8));
    const catalogue = await scan();
    const lookup = createEmbeddingLookup(
      catalogue.entries.map(({ embeddingName: name }) => ({ name, vectors: 1 })),
    );
    const piece = fc.constantFrom(
      ...['a', 'B', 'b', ' ', ',', '-', '_', '(', ')', '[', ']', ':', '|', '0.5', '1', '.'],
      ...['σ', 'Σ', 'α', 'İ', 'e\u0301', '\\(', ' AND ', ' BREAK '],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 24 }), (pieces) => {
        const prompt = pieces.join('');
        const { texts } = planConditioning({ prompt, negativePrompt: '', steps: 4 });
        const found = texts.flatMap((text) =>
          chunkPrompt(text, { embeddings: lookup }).chunks.flatMap(({ fixes }) => fixes),
        );
        const candidates = findCandidates(catalogue, [prompt]);
        const offered = candidates.map(({ embeddingName }) => embeddingName);
        expect(offered).toEqual(expect.arrayContaining(found.map(({ name }) => name)));
      }),
      { numRuns: 3_000 },
    );
  });

  const find = async (...prompts: string[]) =>
    findCandidates(await scan(), prompts).map(({ embeddingName }) => embeddingName);

  it('finds names in any case, in brackets and over pieces of a schedule', async () => {
    put('Easy Negative', single(1, 8));
    put('other', single(1, 8));
    expect(await find('a (EASY  negative:1.2)', 'b')).toEqual(['Easy Negative']);
    expect(await find('[easy neg:x:0.5]ative')).toEqual(['Easy Negative']);
    expect(await find('a cat', 'an OTHER one')).toEqual(['other']);
    expect(await find('', 'yzae')).toEqual([]);
  });
});
