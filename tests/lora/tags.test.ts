import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractNetworkTags } from '../../lora/syntax.ts';
import { readLoraField, readLoraTags } from '../../lora/tags.ts';

const read = (prompt: string) => readLoraTags(extractNetworkTags(prompt).tags);

describe('readLoraTags', () => {
  it.each([
    ['<lora:spo>', 1, 1, null],
    ['<lora:spo:1.5>', 1.5, 1.5, null],
    ['<lora:spo:0.5:8>', 0.5, 8, null],
    ['<lora:spo:0.5:-1:4>', 0.5, -1, 4],
    ['<lora:spo:te=0>', 0, 0, null],
    ['<lora:spo:te=0:unet=3.25>', 0, 3.25, null],
    ['<lora:spo:unet=-.5>', 1, -0.5, null],
    ['<lora:spo:2:unet=3:dyn=16>', 2, 3, 16],
    ['<lyco:spo: 1e1 >', 10, 10, null],
  ])('%s', (prompt, te, unet, dyn) => {
    expect(read(prompt)).toEqual({ requests: [{ name: 'spo', te, unet, dyn }], messages: [] });
  });

  it('keeps the order, and the same name twice', () => {
    const { requests } = read('<lora:a:1> x <lora:b:2><lora:a:3>');
    expect(requests.map(({ name, unet }) => [name, unet])).toEqual([
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ]);
  });

  it.each([
    ['<lora:a:x>', /weight.*"x"/],
    ['<lora:a:>', /weight.*""/],
    ['<lora:a:inf>', /weight.*"inf"/],
    ['<lora:a:nan>', /weight.*"nan"/],
    ['<lora:a:1e999>', /weight/],
    ['<lora:a:1:1:1.5>', /dyn.*"1.5"/],
    ['<lora:a:1:1:-1>', /dyn/],
    ['<lora:a:lbw=ALL>', /key "lbw"/],
    ['<hypernet:a:1>', /hypernet "a".*not supported/],
  ])('%s is left out with a sentence, the others are not', (prompt, message) => {
    const { requests, messages } = read(`${prompt}<lora:b:2>`);
    expect(requests.map(({ name }) => name)).toEqual(['b']);
    expect(messages).toEqual([expect.stringMatching(message)]);
  });

  it('gives finite numbers for any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const { te, unet, dyn } of read(`<lora:${text}>`).requests) {
          expect([te, unet, dyn ?? 0].every(Number.isFinite)).toBe(true);
        }
      }),
    );
  });
});

describe('readLoraField', () => {
  it('reads names and paths', () => {
    const items = [
      { path: 'sub/a.safetensors', multiplier: 1.5 },
      { name: 'b', path: '', multiplier: -1 },
    ];
    expect(readLoraField(items)).toEqual({
      requests: [
        { name: 'sub/a.safetensors', te: 1.5, unet: 1.5, dyn: null },
        { name: 'b', te: -1, unet: -1, dyn: null },
      ],
      messages: [],
    });
  });

  it('leaves out what names nothing or weighs nothing finite', () => {
    const items = [{ multiplier: 1 }, { name: 'a', multiplier: Number.NaN }];
    const { requests, messages } = readLoraField(items);
    expect(requests).toEqual([]);
    expect(messages).toHaveLength(2);
  });
});
