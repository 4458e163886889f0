import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { InvalidRequest, parseRequest } from '../../openapi/parse.ts';
import {
  bool,
  describeBadValue,
  dict,
  float,
  int,
  list,
  oneOf,
  text,
  whole,
} from '../../openapi/schemas/coercion.ts';
import { Txt2ImgRequest } from '../../openapi/schemas/txt2img.ts';

function read(schema: z.ZodType, value: unknown): unknown {
  const result = schema.safeParse(value);
  return result.success ? result.data : 'refused';
}

/** The readings of pydantic 1.10, value by value. */
describe('readings', () => {
  it.each([
    [1.7, 1],
    [-1.7, -1],
    [true, 1],
    [false, 0],
    ['20', 20],
    [' 20 ', 20],
    ['-1', -1],
    ['+5', 5],
    ['512.0', 'refused'],
    ['', 'refused'],
    ['1e3', 'refused'],
    ['0x10', 'refused'],
    [Number.POSITIVE_INFINITY, 'refused'],
    [Number.NaN, 'refused'],
    [[], 'refused'],
    [{}, 'refused'],
  ])('int: %j is %j', (value, expected) => {
    expect(read(int(-100, 1_000), value)).toBe(expected);
  });

  it.each([
    ['1.5', 1.5],
    ['1', 1],
    ['.5', 0.5],
    ['1e-3', 0.001],
    [true, 1],
    ['', 'refused'],
    ['inf', 'refused'],
    ['nan', 'refused'],
    ['1,5', 'refused'],
    [Number.POSITIVE_INFINITY, 'refused'],
  ])('float: %j is %j', (value, expected) => {
    expect(read(float(-100, 100), value)).toBe(expected);
  });

  it.each([
    ...['on', 'yes', 'y', 't', 'true', '1', 'TRUE', 'Yes'].map((word) => [word, true] as const),
    ...['off', 'no', 'n', 'f', 'false', '0', 'False'].map((word) => [word, false] as const),
    [1, true],
    [0, false],
    [2, 'refused'],
    ['2', 'refused'],
    ['', 'refused'],
    [[], 'refused'],
  ] as const)('bool: %j is %j', (value, expected) => {
    expect(read(bool(), value)).toBe(expected);
  });

  it.each([
    [12, '12'],
    [1.5, '1.5'],
    [true, 'True'],
    ['a', 'a'],
    [[], 'refused'],
    [{}, 'refused'],
  ])('text: %j is %j', (value, expected) => {
    expect(read(text(10), value)).toBe(expected);
  });

  it.each([
    ['2.0', 2],
    [2, 2],
    [1.5, 'refused'],
    ['1.5', 'refused'],
    [13, 'refused'],
  ])('whole: %j is %j', (value, expected) => {
    expect(read(whole(1, 12), value)).toBe(expected);
  });

  it('reads lists, objects and words', () => {
    expect(read(list(int(0, 9), 2), ['1', 2])).toEqual([1, 2]);
    expect(read(list(int(0, 9), 2), [1, 2, 3])).toBe('refused');
    expect(read(list(int(0, 9), 2), 'ab')).toBe('refused');
    expect(read(dict(), [])).toBe('refused');
    expect(read(dict(), JSON.parse('{"__proto__":{"x":1},"a":1}'))).toEqual({ a: 1 });
    expect(read(oneOf(['png', 'jpg']), 'PNG')).toBe('png');
    expect(read(oneOf(['png', 'jpg']), 'bmp')).toBe('refused');
  });
});

describe('refusals', () => {
  function faults(body: unknown) {
    try {
      parseRequest(Txt2ImgRequest, body, 'body');
    } catch (error) {
      if (error instanceof InvalidRequest) return error.faults;
      throw error;
    }
    return [];
  }

  it('name the field, the bounds, the value and its type', () => {
    expect(faults({ steps: 0 })).toEqual([
      {
        loc: ['body', 'steps'],
        msg: 'Expected integer 1-150 for steps but received 0 of type number.',
        type: 'value_error.number.not_ge',
      },
    ]);
    expect(faults({ steps: '151' })[0]).toMatchObject({ type: 'value_error.number.not_le' });
    expect(faults({ steps: 'many' })[0]).toMatchObject({
      msg: 'Expected integer 1-150 for steps but received "many" of type string.',
      type: 'type_error.integer',
    });
    expect(faults({ send_images: null })).toEqual([
      {
        loc: ['body', 'send_images'],
        msg: 'none is not an allowed value',
        type: 'type_error.none.not_allowed',
      },
    ]);
    expect(faults({ styles: ['a', {}] })[0]?.loc).toEqual(['body', 'styles', 1]);
    expect(faults({ lora: [{ multiplier: 'x' }] })[0]?.loc).toEqual([
      'body',
      'lora',
      0,
      'multiplier',
    ]);
  });

  it('list every fault, and repeat no long value', () => {
    expect(faults({ steps: 0, width: 1, cfg_scale: 'x' })).toHaveLength(3);
    const [fault] = faults({ prompt: 'secret '.repeat(10_000) });
    expect(fault?.msg.length).toBeLessThan(250);
  });

  it('describe values of every kind', () => {
    expect(describeBadValue('x', 'f', [1, 2])).toContain('a list of 2 of type array');
    expect(describeBadValue('x', 'f', { a: 1 })).toContain('an object with 1 keys of type object');
    expect(describeBadValue('x', 'f', null)).toContain('null of type null');
  });
});

describe('any JSON at all', () => {
  it('is read or refused with faults, and numbers that pass are inside their bounds', () => {
    const field = fc.constantFrom(...Object.keys(Txt2ImgRequest.shape));
    fc.assert(
      fc.property(fc.dictionary(field, fc.jsonValue()), (body) => {
        let request: Txt2ImgRequest;
        try {
          request = parseRequest(Txt2ImgRequest, body, 'body');
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidRequest);
          expect((error as InvalidRequest).faults.length).toBeGreaterThan(0);
          return;
        }
        for (const [key, low, high] of [
          ['steps', 1, 150],
          ['width', 64, 4_096],
          ['batch_size', 1, 64],
          ['cfg_scale', 0, 100],
        ] as const) {
          const value = request[key];
          if (value === null) continue;
          expect(value).toBeGreaterThanOrEqual(low);
          expect(value).toBeLessThanOrEqual(high);
        }
      }),
      { numRuns: 500 },
    );
  });
});
