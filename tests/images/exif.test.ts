import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readUserComment, writeUserComment } from '../../images/exif.ts';
import { EXPECTED } from './fixture.ts';

describe('writing', () => {
  it('makes the block that Pillow reads', () => {
    expect(writeUserComment(EXPECTED.wide).toString('hex')).toBe(EXPECTED.wideExif);
  });

  it('gives back any text that does not end in NUL', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(!text.endsWith('\0') && !/^[\ufeff\ufffe]/.test(text));
        // With few ASCII characters the byte order is the block's own; with many it shows.
        expect(readUserComment(writeUserComment(`${text}Steps: 20, Sampler: Euler`))).toBe(
          `${text}Steps: 20, Sampler: Euler`,
        );
      }),
    );
  });

  it('writes the empty text as a comment without content', () => {
    expect(readUserComment(writeUserComment(''))).toBe('');
  });
});

describe('reading', () => {
  it('takes UTF-8 behind an unknown or missing character code', () => {
    const swap = (code: string, body: string) => {
      const block = writeUserComment('x'.repeat(Buffer.byteLength(body) / 2));
      block.write(code, block.length - Buffer.byteLength(body) - 8, 'latin1');
      block.write(body, block.length - Buffer.byteLength(body), 'utf8');
      return readUserComment(block);
    };
    expect(swap('ASCII\0\0\0', 'a cat,')).toBe('a cat,');
    expect(swap('\0\0\0\0\0\0\0\0', 'cafés, ')).toBe('cafés, ');
    expect(swap('a prompt', ' in full')).toBe('a prompt in full');
  });

  it('drops a byte order mark', () => {
    expect(readUserComment(writeUserComment('\ufeffSteps: 20'))).toBe('Steps: 20');
  });
});

describe('malformed', () => {
  const block = writeUserComment('Steps: 20');
  const patched = (offset: number, value: number) => {
    const copy = Buffer.from(block);
    copy.writeUInt32BE(value, 6 + offset);
    return copy;
  };

  it('the control is read', () => {
    expect(readUserComment(block)).toBe('Steps: 20');
  });

  it.each([
    ['first directory beyond the block', patched(4, 0xfffffff0)],
    ['first directory on the last byte', patched(4, block.length - 7)],
    ['EXIF directory beyond the block', patched(18, 0x7fffffff)],
    ['EXIF directory that is the first one', patched(18, 8)],
    ['comment longer than the block', patched(32, 0xffffffff)],
    ['comment shorter than its character code', patched(32, 7)],
    ['comment beyond the block', patched(36, 0x00ffffff)],
    ['unknown byte order', Buffer.from('Exif\0\0XX\0*\0\0\0\x08')],
    ['nothing', Buffer.alloc(0)],
    ['the marker alone', Buffer.from('Exif\0\0')],
  ])('%s is null', (_, bytes) => {
    expect(readUserComment(bytes)).toBeNull();
  });

  it('a directory of 65,535 entries is null', () => {
    const big = Buffer.concat([block, Buffer.alloc(65535 * 12)]);
    big.writeUInt16BE(65535, 6 + 8);
    expect(readUserComment(big)).toBeNull();
  });

  it('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, little) => {
        const head = little ? Buffer.from('II*\0') : Buffer.from('MM\0*');
        const text = readUserComment(Buffer.concat([head, bytes]));
        expect(text === null || typeof text === 'string').toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
