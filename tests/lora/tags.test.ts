import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractNetworkTags } from '../../lora/syntax.ts';
import { type LoraPass, readLoraTags } from '../../lora/tags.ts';

const read = (prompt: string, pass?: LoraPass) =>
  readLoraTags(extractNetworkTags(prompt).tags, pass);

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
    ['<lora:a:lbw=1,2,3>', /preset or 12, 17, 20 or 26 numbers.*"1,2,3"/],
    ['<lora:a:0@0,x@1>', /weight.*"0@0,x@1"/],
    ['<lora:a:1:2|>', /weight.*""/],
    ['<lora:a:start=x>', /step.*"x"/],
    ['<lora:a:stop=-1>', /step.*"-1"/],
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

describe('what extensions added', () => {
  const first = (prompt: string, pass?: LoraPass) => read(prompt, pass).requests[0];

  it('keys that nobody knows are passed over, as in the web UI', () => {
    expect(read('<lora:a:2:future=x>')).toEqual({
      requests: [{ name: 'a', te: 2, unet: 2, dyn: null }],
      messages: [],
    });
  });

  it('weights over steps; the text encoders keep that of the first', () => {
    const curve = {
      unit: 'share',
      points: [
        { at: 0, weight: 0.25 },
        { at: 0.5, weight: 1.5 },
      ],
    };
    const expected = { name: 'a', te: 0.25, unet: 0.25, dyn: null, curves: [curve] };
    const written = '1.5@0.5,0.25@0';
    expect(first(`<lora:a:${written}>`)).toEqual({ ...expected, written });
    const named = 'te=1:unet=0.25@0;1.5@.5';
    expect(first(`<lora:a:${named}>`)).toEqual({ ...expected, te: 1, written: named });
  });

  it('a weight for each picture', () => {
    expect(first('<lora:a:1:2|3>')).toMatchObject({ te: 1, unet: 2, curves: [2, 3] });
  });

  it('hr, hrte and hrunet count in the second pass alone', () => {
    const tag = '<lora:a:0.5:hr=2:hrte=0>';
    expect(first(tag)).toMatchObject({ te: 0.5, unet: 0.5 });
    expect(first(tag, 'hires')).toMatchObject({ te: 0, unet: 2 });
    expect(first('<lora:a:0.5:1:hrunet=0>', 'hires')).toMatchObject({ te: 0.5, unet: 0 });
    expect(first('<lora:a:0.5:1>', 'hires')).toMatchObject({ te: 0.5, unet: 1 });
  });

  it.each([
    ['start=3', { start: 3, stop: null }],
    ['stop=0.4', { start: null, stop: 0.4 }],
    ['step=2-8', { start: 2, stop: 8 }],
  ])('%s', (key, window) => {
    const written = `1:${key}`;
    expect(first(`<lora:a:${written}>`)).toEqual({
      ...{ name: 'a', te: 1, unet: 1, dyn: null, window, written },
    });
  });

  it('block weights by key, and in the old form at the place of the UNet’s weight', () => {
    const blocks = first('<lora:a:0.5:lbw=OUTS>')?.blocks;
    expect(blocks?.get('OUT7')).toBe(1);
    expect(first('<lora:a:0.5:OUTS>')).toEqual({
      ...{ name: 'a', te: 0.5, unet: 0.5, dyn: null, blocks, written: '0.5:OUTS' },
    });
  });
});
