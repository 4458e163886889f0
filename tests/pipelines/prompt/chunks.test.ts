import { describe, expect, it } from 'vitest';
import { END_TOKEN, START_TOKEN, tokenize } from '../../../networks/tokenizer.ts';
import { chunkPrompt, emptyChunk, padForOpenClip } from '../../../pipelines/prompt/chunks.ts';
import { createEmbeddingLookup } from '../../../pipelines/prompt/embeddings.ts';
import { recordedChunks } from '../../fixtures/prompt/table.ts';

const unroll = (runs: [number, number][]) =>
  runs.flatMap(([value, times]) => Array<number>(times).fill(value));
const words = (count: number, word = 'cat') => Array<string>(count).fill(word).join(' ');
const CAT = tokenize('cat')[0]!;

describe('reference table', () => {
  it.each(recordedChunks)('%j, backtrack %i', (prompt, commaPaddingBacktrack, expected) => {
    const { chunks } = chunkPrompt(prompt, { commaPaddingBacktrack });
    expect(chunks.map(({ tokens }) => [...tokens])).toEqual(
      expected.map(([tokens]) => unroll(tokens)),
    );
    expect(chunks.map(({ weights }) => weights)).toEqual(
      expected.map(([, weights]) => Float32Array.from(unroll(weights))),
    );
    expect(chunks.every(({ fixes }) => fixes.length === 0)).toBe(true);
  });
});

describe('chunkPrompt', () => {
  it('gives one chunk for an empty prompt, the one that pads others', () => {
    const { chunks, tokenCount } = chunkPrompt('');
    expect(chunks).toEqual([emptyChunk()]);
    expect(tokenCount).toBe(0);
    expect([...chunks[0]!.tokens]).toEqual([START_TOKEN, ...Array(76).fill(END_TOKEN)]);
  });

  it.each([
    [words(75), 75],
    [words(76), 76],
    ['a BREAK b', 76],
    ['a BREAK', 75],
    [`${words(60)}, ${words(30)}`, 105],
  ])('counts the tokens of %j', (prompt, tokenCount) => {
    expect(chunkPrompt(prompt).tokenCount).toBe(tokenCount);
  });

  it('takes brackets and BREAK as text when emphasis is None', () => {
    const { chunks } = chunkPrompt('(a:1.5) BREAK b', { emphasis: 'None' });
    const ids = tokenize('(a:1.5) BREAK b');
    expect([...chunks[0]!.tokens].slice(1, ids.length + 1)).toEqual(ids);
    expect(chunks[0]!.weights.every((weight) => weight === 1)).toBe(true);
    expect(chunks).toHaveLength(1);
  });

  it('parses brackets when emphasis is Ignore', () => {
    expect(chunkPrompt('(a:1.5)', { emphasis: 'Ignore' })).toEqual(chunkPrompt('(a:1.5)'));
  });
});

describe('embeddings', () => {
  const embeddings = createEmbeddingLookup([
    { name: 'easynegative', vectors: 8 },
    { name: 'easynegative-v2', vectors: 3 },
    { name: 'constructor', vectors: 2 },
    { name: 'vast', vectors: 90 },
    { name: '', vectors: 4 },
  ]);

  it('takes the longest name at a position, whatever its case', () => {
    const { chunks, tokenCount } = chunkPrompt('cat, EasyNegative-v2, cat', { embeddings });
    expect(chunks[0]!.fixes).toEqual([{ name: 'easynegative-v2', position: 3, vectors: 3 }]);
    expect([...chunks[0]!.tokens].slice(1, 9)).toEqual([
      CAT,
      tokenize(',')[0],
      0,
      0,
      0,
      tokenize(',')[0],
      CAT,
      END_TOKEN,
    ]);
    expect(tokenCount).toBe(7);
  });

  it('falls back to the shorter name', () => {
    expect(chunkPrompt('easynegative-v3', { embeddings }).chunks[0]!.fixes).toEqual([
      { name: 'easynegative', position: 1, vectors: 8 },
    ]);
  });

  it('gives every vector the weight of the name', () => {
    const { weights } = chunkPrompt('(constructor:1.5)', { embeddings }).chunks[0]!;
    expect([...weights].slice(0, 4)).toEqual([1, 1.5, 1.5, 1]);
  });

  it('needs the whole name in one segment', () => {
    expect(chunkPrompt('easy(negative)', { embeddings }).chunks[0]!.fixes).toEqual([]);
  });

  it('starts a chunk for one that does not fit', () => {
    const { chunks } = chunkPrompt(`${words(70)} easynegative`, { embeddings });
    expect(chunks).toHaveLength(2);
    expect(chunks[0]!.tokens[71]).toBe(END_TOKEN);
    expect(chunks[1]!.fixes).toEqual([{ name: 'easynegative', position: 1, vectors: 8 }]);
  });

  it('moves on with the text after the comma', () => {
    const { chunks } = chunkPrompt(`${words(60)}, easynegative ${words(10)}`, { embeddings });
    expect(chunks.map(({ fixes }) => fixes)).toEqual([
      [],
      [{ name: 'easynegative', position: 1, vectors: 8 }],
    ]);
    expect([...chunks[1]!.tokens].slice(1, 11)).toEqual([...Array(8).fill(0), CAT, CAT]);
  });

  it('stays behind when it stands before the comma', () => {
    const { chunks } = chunkPrompt(`${words(60)} constructor, ${words(20)}`, { embeddings });
    expect(chunks.map(({ fixes }) => fixes)).toEqual([
      [{ name: 'constructor', position: 61, vectors: 2 }],
      [],
    ]);
  });

  it('is cut to one chunk when it has more vectors than that', () => {
    const { chunks } = chunkPrompt('a vast b', { embeddings });
    expect(chunks.map(({ fixes }) => fixes)).toEqual([
      [],
      [{ name: 'vast', position: 1, vectors: 75 }],
      [],
    ]);
  });
});

describe('padForOpenClip', () => {
  it('pads with 0 after the first end token and leaves its argument alone', () => {
    const { tokens } = chunkPrompt('cat').chunks[0]!;
    const before = tokens.slice();
    expect([...padForOpenClip(tokens)]).toEqual([
      START_TOKEN,
      CAT,
      END_TOKEN,
      ...Array(74).fill(0),
    ]);
    expect(tokens).toEqual(before);
  });

  it('changes nothing in a full chunk', () => {
    const { tokens } = chunkPrompt(words(75)).chunks[0]!;
    expect(padForOpenClip(tokens)).toEqual(tokens);
  });
});
