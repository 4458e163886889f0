import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImageError } from '../../images/errors.ts';
import { PNG_SIGNATURE, readChunks, writeChunk } from '../../images/png-chunks.ts';
import {
  MAX_PNG_TEXT_BYTES,
  MAX_PNG_TEXT_CHUNKS,
  readPngText,
  writePngText,
} from '../../images/png-text.ts';
import { EXPECTED, readFixture } from './fixture.ts';

const bare = readFixture('rgb.png');

/** Puts raw chunks between IHDR and the rest. */
function withChunks(...chunks: Buffer[]): Buffer {
  return Buffer.concat([bare.subarray(0, 33), ...chunks, bare.subarray(33)]);
}

describe('reading', () => {
  it.each([
    ['text-latin1.png', EXPECTED.plain],
    ['text-utf8.png', EXPECTED.wide],
    ['text-zip.png', EXPECTED.plain],
    ['text-zip-utf8.png', EXPECTED.wide],
    ['text-after-idat.png', EXPECTED.plain],
  ])('finds what Pillow wrote in %s', (name, text) => {
    expect(readPngText(readFixture(name)).get('parameters')).toBe(text);
  });

  it('keeps other keywords apart', () => {
    expect([...readPngText(readFixture('text-utf8.png')).keys()]).toEqual([
      'parameters',
      'postprocessing',
    ]);
  });

  it('takes the last of two equal keywords', () => {
    const twice = writePngText(bare, [
      ['parameters', 'one'],
      ['parameters', 'two'],
    ]);
    expect(readPngText(twice).get('parameters')).toBe('two');
  });

  it('has nothing to say about other bytes', () => {
    expect(readPngText(Buffer.from('GIF89a')).size).toBe(0);
    expect(readPngText(Buffer.alloc(0)).size).toBe(0);
    expect(readPngText(PNG_SIGNATURE).size).toBe(0);
  });
});

describe('writing', () => {
  it('takes tEXt for Latin-1 and iTXt for the rest', () => {
    const types = (text: string) =>
      [...readChunks(writePngText(bare, [['parameters', text]]))].map((chunk) => chunk.type);
    expect(types('café')).toEqual(['IHDR', 'tEXt', 'IDAT', 'IEND']);
    expect(types('日本')).toEqual(['IHDR', 'iTXt', 'IDAT', 'IEND']);
  });

  it('writes byte for byte what Pillow writes', () => {
    for (const [name, text] of [
      ['text-latin1.png', EXPECTED.plain],
      ['text-utf8.png', EXPECTED.wide],
    ] as const) {
      const theirs = [...readChunks(readFixture(name))][1];
      const ours = [...readChunks(writePngText(bare, [['parameters', text]]))][1];
      expect(ours?.type).toBe(theirs?.type);
      expect(ours?.data).toEqual(theirs?.data);
    }
  });

  it('gives back any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), (a, b) => {
        const png = writePngText(bare, [
          ['parameters', a],
          ['other', b],
        ]);
        const texts = readPngText(png);
        // Lone surrogates have no UTF-8; Buffer replaces them.
        expect(texts.get('parameters')).toBe(Buffer.from(a).toString());
        expect(texts.get('other')).toBe(Buffer.from(b).toString());
      }),
    );
  });

  it.each(['', 'x'.repeat(80), '鍵'])('refuses the keyword %j', (keyword) => {
    expect(() => writePngText(bare, [[keyword, 'text']])).toThrow(/for a PNG keyword/);
  });

  it('refuses bytes that are no PNG', () => {
    expect(() => writePngText(Buffer.from('x'.repeat(99)), [])).toThrow(/Expected a PNG/);
  });
});

describe('malformed', () => {
  const bomb = deflateSync(Buffer.alloc(MAX_PNG_TEXT_BYTES + 1, 'a'));

  it.each([
    ['zTXt that inflates past the limit', 'zTXt', Buffer.concat([Buffer.from('k\0\0'), bomb])],
    [
      'iTXt that inflates past the limit',
      'iTXt',
      Buffer.concat([Buffer.from('k\0\x01\0\0\0'), bomb]),
    ],
    ['tEXt longer than the limit', 'tEXt', Buffer.alloc(MAX_PNG_TEXT_BYTES + 1, 'a')],
  ])('%s', (_, type, data) => {
    expect(() => readPngText(withChunks(writeChunk(type, data)))).toThrow(
      expect.objectContaining({ name: 'ImageError', code: 'TEXT_TOO_LARGE' }),
    );
  });

  it('bombs that stay below the limit one by one count together', () => {
    const half = deflateSync(Buffer.alloc(MAX_PNG_TEXT_BYTES / 2 + 1, 'a'));
    const chunk = writeChunk('zTXt', Buffer.concat([Buffer.from('k\0\0'), half]));
    expect(readPngText(withChunks(chunk)).size).toBe(1);
    expect(() => readPngText(withChunks(chunk, chunk))).toThrow(ImageError);
  });

  it('too many chunks', () => {
    const chunk = writeChunk('tEXt', Buffer.from('k\0v'));
    const many = (count: number) => withChunks(...Array.from({ length: count }, () => chunk));
    expect(readPngText(many(MAX_PNG_TEXT_CHUNKS)).size).toBe(1);
    expect(() => readPngText(many(MAX_PNG_TEXT_CHUNKS + 1))).toThrow(/text chunks/);
  });

  it.each([
    ['no keyword', 'tEXt', Buffer.from('\0text')],
    ['no separator', 'tEXt', Buffer.from('parameters')],
    ['keyword of 80 bytes', 'tEXt', Buffer.from(`${'k'.repeat(80)}\0text`)],
    ['unknown compression method', 'zTXt', Buffer.from('k\0\x01data')],
    ['stream that is no zlib', 'zTXt', Buffer.from('k\0\0data')],
    ['compression flag 2', 'iTXt', Buffer.from('k\0\x02\0\0\0text')],
    ['iTXt without a language end', 'iTXt', Buffer.from('k\0\0\0text')],
    ['iTXt that is no UTF-8', 'iTXt', Buffer.from('6b000000000000ff', 'hex')],
  ])('%s is left out, its neighbour stays', (_, type, data) => {
    const good = writeChunk('tEXt', Buffer.from('good\0yes'));
    expect([...readPngText(withChunks(writeChunk(type, data), good))]).toEqual([['good', 'yes']]);
  });

  it('a chunk with a wrong CRC is left out', () => {
    const chunk = writeChunk('tEXt', Buffer.from('k\0v'));
    expect(readPngText(withChunks(chunk)).get('k')).toBe('v');
    chunk.writeUInt8(chunk.readUInt8(14) ^ 1, 14);
    expect(readPngText(withChunks(chunk)).size).toBe(0);
  });

  it('a length beyond the file ends the reading', () => {
    const chunk = writeChunk('tEXt', Buffer.from('k\0v'));
    chunk.writeUInt32BE(0xffffffff, 0);
    expect(readPngText(withChunks(chunk)).size).toBe(0);
  });

  it('any mutation of an honest file reads or throws an ImageError', () => {
    const honest = [readFixture('text-zip-utf8.png'), readFixture('text-utf8.png')];
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.constantFrom(...honest), edits, fc.nat(), (file, changes, cut) => {
        const bytes = Buffer.from(file);
        for (const [at, value] of changes) bytes[8 + (at % (bytes.length - 8))] = value;
        try {
          readPngText(bytes.subarray(0, bytes.length - (cut % 40)));
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
