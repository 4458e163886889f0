import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBase64Image } from '../../images/base64.ts';

const BYTES = Buffer.from([0, 255, 16, 131, 16, 81, 135, 32]);

describe('accepted', () => {
  it.each([
    ['plain', BYTES.toString('base64')],
    ['without padding', BYTES.toString('base64').replace(/=/g, '')],
    ['with line breaks', BYTES.toString('base64').replace(/(.{4})/g, '$1\r\n')],
    ['URL-safe', BYTES.toString('base64url')],
    ['a data URL', `data:image/png;base64,${BYTES.toString('base64')}`],
    ['a data URL with a parameter', `data:image/png;name=a.png;base64,${BYTES.toString('base64')}`],
    ['a data URL in capitals', `DATA:image/png;BASE64,${BYTES.toString('base64')}`],
    ['a data URL behind a blank', ` data:image/png;base64, ${BYTES.toString('base64')}`],
  ])('%s', (_, text) => {
    expect(decodeBase64Image(text, 'mask')).toEqual(BYTES);
  });

  it('any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        expect(new Uint8Array(decodeBase64Image(text, 'mask'))).toEqual(bytes);
      }),
    );
  });
});

describe('refused, naming the field', () => {
  it.each([
    ['nothing', ''],
    ['blanks', '  \n'],
    ['a sentence', 'not base64!'],
    ['one character', 'A'],
    ['padding in the middle', 'AA==AAAA'],
    ['three equal signs', 'AAAAA==='],
    ['an address', 'http://example.com/a.png'],
    ['a data URL without base64', 'data:image/png,abcd'],
    ['a data URL without a comma', 'data:image/png;base64'],
    ['a data URL without data', 'data:image/png;base64,'],
    ['base64 with one foreign character', `${BYTES.toString('base64').slice(0, 4)}*AAA`],
  ])('%s', (_, text) => {
    expect(() => decodeBase64Image(text, 'init_images[0]')).toThrow(
      expect.objectContaining({
        code: 'INVALID_BASE64',
        message: expect.stringContaining('for init_images[0] but received'),
      }),
    );
  });

  it('with a short error for a long text', () => {
    expect(() => decodeBase64Image('!'.repeat(1e6), 'mask')).toThrow(/^.{0,200}$/);
  });
});
