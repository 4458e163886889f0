import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { CHECKPOINT_ERRORS, type CheckpointErrorCode } from '../../networks/checkpoint/errors.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import {
  build,
  good,
  rejection,
  tensor,
  two,
  withOffsets,
  withShape,
  write,
} from './safetensors-files.ts';

type Case = [attack: string, bytes: () => Uint8Array, code: CheckpointErrorCode];

const REJECTED: Case[] = [
  // Size of the file.
  ['a file of 0 bytes', () => Buffer.alloc(0), 'EMPTY_FILE'],
  ['a file of 1 byte', () => Buffer.alloc(1), 'FILE_TOO_SMALL'],
  ['a file of 7 bytes, one less than the length takes', () => Buffer.alloc(7), 'FILE_TOO_SMALL'],
  ['a file of 8 bytes: a length of 0 and nothing else', () => Buffer.alloc(8), 'HEADER_TOO_SMALL'],
  ['a file of 9 bytes with a header of 1', () => build('{', 0), 'HEADER_TOO_SMALL'],
  // The header's length.
  ['N = 0 before real data', () => build('', 64), 'HEADER_TOO_SMALL'],
  ['N = 1', () => build('{}', 4, 1n), 'HEADER_TOO_SMALL'],
  ['N = 2 that cuts the header', () => build(tensor(good), 4, 2n), 'HEADER_TRUNCATED'],
  ['N = file size', () => build('{}', 6, 16n), 'HEADER_PAST_END'],
  ['N = file size + 1', () => build('{}', 6, 17n), 'HEADER_PAST_END'],
  ['N = 16 MiB + 1', () => build('{}', 6, 16n * 1024n * 1024n + 1n), 'HEADER_TOO_LARGE'],
  ['N = 2^31, negative as a 32-bit integer', () => build('{}', 6, 2n ** 31n), 'HEADER_TOO_LARGE'],
  ['N = 2^53, where doubles lose integers', () => build('{}', 6, 2n ** 53n), 'HEADER_TOO_LARGE'],
  ['N = 2^63, negative as a 64-bit integer', () => build('{}', 6, 2n ** 63n), 'HEADER_TOO_LARGE'],
  ['N = 2^64 - 1: N + 8 wraps around', () => build('{}', 6, 2n ** 64n - 1n), 'HEADER_TOO_LARGE'],
  // Syntax.
  ['a header that does not start with {', () => build(` ${tensor(good)}`), 'HEADER_NOT_OBJECT'],
  ['text after the JSON', () => build(`${tensor(good)}x`), 'HEADER_TRAILING'],
  ['NUL padding after the JSON', () => build(`${tensor(good)}\0\0`), 'HEADER_TRAILING'],
  ['a byte order mark', () => build(`\ufeff${tensor(good)}`), 'HEADER_BOM'],
  [
    'invalid UTF-8 in a name',
    () => build(Buffer.concat([Buffer.from('{"'), Buffer.from([0xc3, 0x28]), Buffer.from('":1}')])),
    'HEADER_NOT_UTF8',
  ],
  ['a NUL inside a name', () => build(`{"a\0b":{${good}}}`), 'HEADER_CONTROL_CHARACTER'],
  ['a NUL between tokens', () => build(`{\0"a":{${good}}}`), 'HEADER_CONTROL_CHARACTER'],
  ['JSON that stops', () => build(tensor(good).slice(0, -1)), 'HEADER_TRUNCATED'],
  ['JSON that stops in a string', () => build('{"t":{"dtype":"F3'), 'HEADER_TRUNCATED'],
  ['an array for a header', () => build('[]'), 'HEADER_NOT_OBJECT'],
  ['a string for a header', () => build('"{}"'), 'HEADER_NOT_OBJECT'],
  ['a number for a header', () => build('1234'), 'HEADER_NOT_OBJECT'],
  [
    'arrays nested 100,000 deep, for a recursive parser',
    () => build(tensor(`${good},"x":${'['.repeat(1e5)}${']'.repeat(1e5)}`)),
    'HEADER_TOO_DEEP',
  ],
  ['a trailing comma', () => build(tensor(`${good},`)), 'HEADER_JSON'],
  ['an escape that JSON does not have', () => build(`{"\\x41":{${good}}}`), 'HEADER_JSON'],
  // Names.
  [
    'the same tensor twice: which one is checked?',
    () => build(`{"t":{${good}},"t":{${good}}}`),
    'DUPLICATE_NAME',
  ],
  [
    'the same tensor twice, once spelled with an escape',
    () => build(`{"t":{${good}},"\\u0074":{${good}}}`),
    'DUPLICATE_NAME',
  ],
  ['__metadata__ twice', () => build('{"__metadata__":{},"__metadata__":{}}', 0), 'DUPLICATE_NAME'],
  ['the same field twice', () => build(tensor(`${good},"shape":[9]`)), 'DUPLICATE_FIELD'],
  ['a tensor without a name', () => build(`{"":{${good}}}`), 'EMPTY_NAME'],
  ['a name of 1 MB', () => build(`{"${'n'.repeat(1e6)}":{${good}}}`), 'NAME_TOO_LONG'],
  ['a lone surrogate in a name', () => build(`{"\\ud800":{${good}}}`), 'LONE_SURROGATE'],
  [
    '50,001 tensors',
    () =>
      build(
        `{${Array.from({ length: 50_001 }, (_, i) => `"${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`).join(',')}}`,
        0,
      ),
    'TOO_MANY_TENSORS',
  ],
  // Metadata.
  ['__metadata__ that is a list', () => build('{"__metadata__":[]}', 0), 'METADATA_NOT_OBJECT'],
  ['__metadata__ that is null', () => build('{"__metadata__":null}', 0), 'METADATA_NOT_OBJECT'],
  ['a number in __metadata__', () => build('{"__metadata__":{"a":1}}', 0), 'METADATA_NOT_STRING'],
  [
    '10 MB of __metadata__',
    () => build(`{"__metadata__":{"a":"${'m'.repeat(1e7)}"}}`, 0),
    'METADATA_TOO_LARGE',
  ],
  [
    '100,001 keys of __metadata__',
    () =>
      build(
        `{"__metadata__":{${Array.from({ length: 100_001 }, (_, i) => `"${i}":""`).join(',')}}}`,
        0,
      ),
    'METADATA_TOO_LARGE',
  ],
  // dtype.
  ['a tensor that is a list', () => build('{"t":["F32",[1],[0,4]]}'), 'TENSOR_NOT_OBJECT'],
  ['no dtype', () => build(tensor('"shape":[1],"data_offsets":[0,4]')), 'DTYPE_MISSING'],
  ['a dtype that is a number', () => build(tensor(good.replace('"F32"', '32'))), 'DTYPE_TYPE'],
  ['an unknown dtype', () => build(tensor(good.replace('F32', 'F33'))), 'DTYPE_UNKNOWN'],
  [
    'a dtype of the prototype',
    () => build(tensor(good.replace('F32', 'constructor'))),
    'DTYPE_UNKNOWN',
  ],
  ['a dtype in lower case', () => build(tensor(good.replace('F32', 'f32'))), 'DTYPE_CASE'],
  [
    'an odd number of 4-bit numbers',
    () => build(tensor('"dtype":"F4","shape":[7],"data_offsets":[0,4]')),
    'DTYPE_MISALIGNED',
  ],
  // shape.
  ['no shape', () => build(tensor('"dtype":"F32","data_offsets":[0,4]')), 'SHAPE_MISSING'],
  ['a negative size', () => build(withShape('[-1]')), 'SHAPE_NEGATIVE'],
  ['minus zero', () => build(withShape('[-0]')), 'SHAPE_NEGATIVE'],
  ['a fractional size', () => build(withShape('[0.5]')), 'SHAPE_NOT_INTEGER'],
  ['a size written 1.0', () => build(withShape('[1.0]')), 'SHAPE_NOT_INTEGER'],
  ['a size of 1e400, infinity as a double', () => build(withShape('[1e400]')), 'SHAPE_NOT_INTEGER'],
  ['a size that is a string', () => build(withShape('["1"]')), 'SHAPE_TYPE'],
  ['a shape that is a number', () => build(withShape('1')), 'SHAPE_TYPE'],
  ['a size over 2^53', () => build(withShape('[9007199254740993]')), 'SHAPE_RANGE'],
  ['a size over 2^32', () => build(withShape('[4294967297]')), 'SHAPE_RANGE'],
  ['nine dimensions', () => build(withShape('[1,1,1,1,1,1,1,1,1]')), 'SHAPE_RANK'],
  [
    'a product over 2^53 that wraps to 4 bytes at 64 bits',
    () => build(withShape('[4294967296,4294967296,1]')),
    'SHAPE_OVERFLOW',
  ],
  [
    'a product that overflows before a zero makes it 0',
    () => build(tensor('"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]'), 0),
    'SHAPE_OVERFLOW',
  ],
  // data_offsets.
  ['no data_offsets', () => build(tensor('"dtype":"F32","shape":[1]')), 'OFFSETS_MISSING'],
  ['one offset', () => build(withOffsets('[4]')), 'OFFSETS_COUNT'],
  ['no offsets in the list', () => build(withOffsets('[]')), 'OFFSETS_COUNT'],
  ['three offsets', () => build(withOffsets('[0,4,8]')), 'OFFSETS_COUNT'],
  ['10,000 offsets', () => build(withOffsets(`[${'0,'.repeat(9999)}0]`)), 'OFFSETS_COUNT'],
  ['a negative offset', () => build(withOffsets('[-4,0]')), 'OFFSETS_NEGATIVE'],
  ['a fractional offset', () => build(withOffsets('[0,4.5]')), 'OFFSETS_NOT_INTEGER'],
  ['an offset that is a string', () => build(withOffsets('[0,"4"]')), 'OFFSETS_TYPE'],
  ['an offset of 2^64', () => build(withOffsets('[0,18446744073709551616]')), 'OFFSETS_RANGE'],
  ['an end before its begin', () => build(withOffsets('[4,0]')), 'OFFSETS_REVERSED'],
  [
    'an end past the file: reads what lies behind it (CVE-2026-7482)',
    () => build(tensor('"dtype":"F32","shape":[2],"data_offsets":[0,8]')),
    'OFFSETS_PAST_END',
  ],
  [
    'an end inside the file but past the data: header bytes count as data',
    () => build(tensor('"dtype":"F32","shape":[4],"data_offsets":[0,16]'), 8),
    'OFFSETS_PAST_END',
  ],
  ['two tensors on the same bytes', () => build(two('[0,4]', '[0,4]'), 4), 'OFFSETS_OVERLAP'],
  ['two tensors that overlap by half', () => build(two('[0,4]', '[2,6]'), 6), 'OFFSETS_OVERLAP'],
  ['a hole, to hide another format in', () => build(two('[0,4]', '[8,12]'), 12), 'OFFSETS_HOLE'],
  ['a hole at the start', () => build(withOffsets('[4,8]'), 8), 'OFFSETS_HOLE'],
  ['bytes after the last tensor', () => build(tensor(good), 5), 'DATA_NOT_COVERED'],
  ['data without any tensor', () => build('{}', 5), 'DATA_NOT_COVERED'],
  [
    'a range longer than shape and dtype say',
    () => build(tensor('"dtype":"F16","shape":[1],"data_offsets":[0,4]')),
    'SIZE_MISMATCH',
  ],
  [
    'a range shorter than shape and dtype say',
    () => build(tensor('"dtype":"F64","shape":[1],"data_offsets":[0,4]')),
    'SIZE_MISMATCH',
  ],
];

describe('malformed safetensors are refused', () => {
  it.each(REJECTED)('%s', async (_attack, bytes, code) => {
    const file = write(bytes());
    const started = process.cpuUsage();
    const error = await rejection(file);
    expect(error.code).toBe(code);
    expect(error.message).toContain(path.basename(file));
    expect(error.file).toContain(path.basename(file));
    expect(error.message.length).toBeLessThan(600);
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1000).toBeLessThan(1000);
  });

  it('has at least the 45 classes, and a test for every code of the reader', () => {
    expect(REJECTED.length).toBeGreaterThanOrEqual(45);
    const codes = Object.keys(CHECKPOINT_ERRORS);
    const reader = codes.slice(codes.indexOf('EMPTY_FILE'), codes.indexOf('TENSOR_NOT_FOUND'));
    const tested = new Set(REJECTED.map(([, , code]) => code as string));
    expect(reader.filter((code) => code !== 'FILE_CHANGED' && !tested.has(code))).toEqual([]);
  });

  it('names the tensor at fault', async () => {
    const error = await rejection(write(build(two('[0,4]', '[8,12]'), 12)));
    expect(error.tensor).toBe('b');
    expect(error.message).toContain('tensor "b"');
  });
});

describe('legal oddities are accepted', () => {
  const ACCEPTED: [title: string, bytes: () => Uint8Array, names: string[]][] = [
    ['a plain file', () => build(tensor(good)), ['t']],
    ['no tensors at all', () => build('{}', 0), []],
    ['white space after the JSON, as padding', () => build(`${tensor(good)} \n\t `), ['t']],
    ['white space inside', () => build(tensor(good.replaceAll(',', ' ,\n'))), ['t']],
    ['the name __proto__', () => build(`{"__proto__":{${good}}}`), ['__proto__']],
    ['the name constructor', () => build(`{"constructor":{${good}}}`), ['constructor']],
    ['a surrogate pair written with escapes', () => build(`{"\\ud83d\\ude00":{${good}}}`), ['😀']],
    ['an escaped NUL in a name', () => build(`{"a\\u0000":{${good}}}`), ['a\0']],
    ['rank 0: one number', () => build(withShape('[]')), ['t']],
    ['rank 8', () => build(withShape('[1,1,1,1,1,1,1,1]')), ['t']],
    [
      'a size of 0: no bytes',
      () => build(tensor('"dtype":"F32","shape":[0,7],"data_offsets":[0,0]'), 0),
      ['t'],
    ],
    ['names in another order than the data', () => build(two('[4,8]', '[0,4]'), 8), ['b', 'a']],
    [
      'an empty tensor where another begins',
      () =>
        build(
          `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"e":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`,
        ),
      ['e', 'a'],
    ],
    [
      'an unknown field, from a later version',
      () => build(tensor(`${good},"x":[{"y":null}]`)),
      ['t'],
    ],
    [
      'an even number of 4-bit numbers',
      () => build(tensor('"dtype":"F4","shape":[8],"data_offsets":[0,4]')),
      ['t'],
    ],
    ['metadata only', () => build('{"__metadata__":{"__proto__":"x"}}', 0), []],
  ];

  it.each(ACCEPTED)('%s', async (_title, bytes, names) => {
    const file = await readHeader(write(bytes()));
    expect([...file.tensors.keys()]).toEqual(names);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  it('keeps metadata in a Map, __proto__ included', async () => {
    const file = await readHeader(write(build('{"__metadata__":{"__proto__":"x","a":"b"}}', 0)));
    expect([...file.metadata]).toEqual([
      ['__proto__', 'x'],
      ['a', 'b'],
    ]);
  });
});
