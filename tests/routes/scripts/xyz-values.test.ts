import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { permutations, readNumbers, splitValues } from '../../../routes/scripts/xyz-values.ts';

describe('splitting values', () => {
  it.each([
    ['', []],
    ['a', ['a']],
    ['a, b ,c', ['a', 'b', 'c']],
    ['"a, b", c', ['a, b', 'c']],
    ['"say ""hi""", x', ['say "hi"', 'x']],
    ['a,,b', ['a', '', 'b']],
    ['a,', ['a', '']],
    ['1-5 (+2), 10', ['1-5 (+2)', '10']],
    ['quote " inside, b', ['quote " inside', 'b']],
  ])('reads %j', (text, values) => {
    expect(splitValues(text)).toEqual(values);
  });

  it('gives back what was quoted', () => {
    const value = fc.string({ minLength: 1 }).map((text) => text.replace(/\s/g, '_'));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const text = values.map((one) => `"${one.replaceAll('"', '""')}"`).join(', ');
        expect(splitValues(text)).toEqual(values);
      }),
    );
  });
});

describe('ranges', () => {
  it.each([
    ['1-5', [1, 2, 3, 4, 5]],
    ['1-5 (+2)', [1, 3, 5]],
    ['1-6 (+2)', [1, 3, 5]],
    ['10-4 (-3)', [10, 7, 4]],
    ['5-1', [5, 4, 3, 2, 1]],
    ['1-10 [5]', [1, 3, 5, 7, 10]],
    ['-3--1', [-3, -2, -1]],
    ['7', [7]],
  ])('of integers: %s', (text, values) => {
    expect(readNumbers([text], 'Steps', true)).toEqual(values);
  });

  it.each([
    ['0-1 (+0.1)', [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]],
    ['0-1 [3]', [0, 0.5, 1]],
    ['6.5-7.5 (+0.5)', [6.5, 7, 7.5]],
    ['.5', [0.5]],
    ['1e-1', [0.1]],
  ])('of numbers: %s', (text, values) => {
    expect(readNumbers([text], 'CFG Scale', false)).toEqual(values);
  });

  it.each(['x', '', '1-', '1.5', '1-9999', '0-1 [9999]', '1e999'])('refuse %j', (text) => {
    expect(() => readNumbers([text], 'Steps', true)).toThrow('axis Steps');
  });

  it('end with the value that ends them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100 }), (a, b) => {
        const values = readNumbers([`${a}-${b}`], 'Steps', true);
        expect([values[0], values.at(-1), values.length]).toEqual([a, b, Math.abs(a - b) + 1]);
      }),
    );
  });
});

it('orders values as Python does', () => {
  expect(permutations(['a', 'b', 'c']).map((order) => order.join(''))).toEqual([
    ...['abc', 'acb', 'bac', 'bca', 'cab', 'cba'],
  ]);
});
