/**
 * Twelve honest safetensors files and 10,000 mutations of their headers, the same ones at every
 * run. Used by the fuzz test, the differential test, and (as a script) by the recorder of the
 * reference library's verdicts.
 */
import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';

export const SEED = 20_240_817;
export const MUTATIONS = 10_000;

/** One tensor of an honest file: name, dtype, shape, bytes. */
type Entry = [name: string, dtype: string, shape: number[], bytes: number];

function build(entries: Entry[], metadata?: Record<string, string>, pad = 0): Buffer {
  let offset = 0;
  const fields = entries.map(([name, dtype, shape, bytes]) => {
    const data_offsets = [offset, offset + bytes];
    offset += bytes;
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets })}`;
  });
  if (metadata !== undefined) fields.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const header = Buffer.from(`{${fields.join(',')}}${' '.repeat(pad)}`);
  const file = Buffer.alloc(8 + header.length + offset);
  file.writeBigUInt64LE(BigInt(header.length));
  header.copy(file, 8);
  return file;
}

/** The header names the second tensor first. */
function swapped(): Buffer {
  const file = build([
    ['late', 'F64', [1], 8],
    ['soon', 'F64', [1], 8],
  ]);
  const text = file.toString('latin1');
  return Buffer.from(
    text.replace('"late"', '"tmp_"').replace('soon', 'late').replace('tmp_', 'soon'),
    'latin1',
  );
}

const lora: Entry[] = ['lora_unet_down_blocks_0_attentions_0_proj_in', 'lora_te_layers_0'].flatMap(
  (name): Entry[] => [
    [`${name}.alpha`, 'F32', [], 4],
    [`${name}.lora_down.weight`, 'F16', [2, 3], 12],
    [`${name}.lora_up.weight`, 'F16', [3, 2], 12],
  ],
);

/** The honest ones: every feature of the format occurs. */
export const HONEST: readonly Buffer[] = [
  build([['t', 'F32', [1], 4]]),
  build([]),
  build([], { format: 'pt' }),
  build(
    [
      ['a', 'F16', [2, 3], 12],
      ['b', 'BF16', [4], 8],
    ],
    { format: 'pt' },
    5,
  ),
  build([
    ['scalar', 'F32', [], 4],
    ['empty', 'F32', [0, 4], 0],
  ]),
  build([
    ['__proto__', 'I64', [1], 8],
    ['constructor', 'U8', [3], 3],
  ]),
  build([
    ['ключ', 'F32', [1], 4],
    ['名前.weight', 'F32', [1], 4],
    ['\u{1f600}', 'U8', [1], 1],
  ]),
  build([
    ['q', 'F4', [6], 3],
    ['f', 'F8_E4M3', [2, 2], 4],
    ['g', 'F8_E5M2', [1], 1],
  ]),
  build(lora, { ss_network_dim: '2', ss_network_alpha: '1', ss_tag_frequency: '{"a": {"b": 1}}' }),
  build(
    Array.from({ length: 24 }, (_, i): Entry => [`model.layers.${i}.weight`, 'F16', [2, 2], 8]),
  ),
  swapped(),
  build(
    [
      ['x', 'BOOL', [1, 1, 1, 1, 1], 1],
      ['y', 'C64', [1], 8],
      ['z', 'I32', [1], 4],
    ],
    {},
    1,
  ),
];

/** Pieces that a mutation puts into a header. */
const TOKENS = [
  ...['{', '}', '[', ']', ',', ':', '"', '\\', ' ', '\n', '\0', '0', '-', '.', 'e9', '1e400'],
  ...['null', 'true', '-1', '4294967296', '4294967297', '9007199254740993', '18446744073709551616'],
  ...['"t":', '"shape":[1],', '"dtype":"F32",', '"data_offsets":[0,4],', '"__metadata__":{},'],
  ...['"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},', 'F16', 'f32', 'Q4', '\\ud800', 'é'],
].map((text) => Buffer.from(text));

type Edit = { kind: number; at: number; size: number; byte: number; token: number };

/** Evenly spread: fast-check prefers small numbers, and all edits would be at the first byte. */
const upTo = (max: number): fc.Arbitrary<number> => fc.noBias(fc.integer({ min: 0, max }));

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: upTo(6),
  at: upTo(9_999).map((n) => n / 10_000),
  size: upTo(11).map((n) => n + 1),
  byte: upTo(255),
  token: upTo(TOKENS.length - 1),
});

const mutation = fc.record({
  base: upTo(HONEST.length - 1),
  edits: fc.array(edit, { minLength: 1, maxLength: 2 }),
  /** Whether the length is made right again afterwards; else most faults would be the same one. */
  fixLength: upTo(9).map((n) => n > 0),
});

function apply(header: Buffer, { kind, at, size, byte, token }: Edit): Buffer {
  const from = Math.floor(at * header.length);
  const before = header.subarray(0, from);
  const piece = TOKENS[token] ?? Buffer.alloc(0);
  switch (kind) {
    case 0: {
      // Another byte, printable three times out of four.
      const code = token % 4 === 0 ? byte : 0x20 + (byte % 0x5f);
      return Buffer.concat([before, Buffer.from([code]), header.subarray(from + 1)]);
    }
    case 1: // One bit.
      return Buffer.concat([
        before,
        Buffer.from([(header[from] ?? 0) ^ (1 << (byte % 8))]),
        header.subarray(from + 1),
      ]);
    case 2: // Bytes less.
      return Buffer.concat([before, header.subarray(from + size)]);
    case 3: // A piece of JSON more.
      return Buffer.concat([before, piece, header.subarray(from)]);
    case 4: // A piece of JSON instead.
      return Buffer.concat([before, piece, header.subarray(from + size)]);
    case 5: // A stretch twice.
      return Buffer.concat([before, header.subarray(from, from + size * 8), header.subarray(from)]);
    default: {
      // Another number in place of the next one.
      const text = header.toString('latin1');
      const match = /\d+/.exec(text.slice(from));
      if (match === null) return header.subarray(0, header.length - size);
      const start = from + match.index;
      const next = String(byte % 2 === 0 ? Number(match[0]) + size - 6 : byte);
      return Buffer.from(
        text.slice(0, start) + next + text.slice(start + match[0].length),
        'latin1',
      );
    }
  }
}

/** All mutated files, each whole: length, header, data. */
export function mutatedFiles(): Buffer[] {
  return fc
    .sample(mutation, { numRuns: MUTATIONS, seed: SEED })
    .map(({ base, edits, fixLength }) => {
      const file = HONEST[base] ?? Buffer.alloc(0);
      const length = Number(file.readBigUInt64LE());
      let header = file.subarray(8, 8 + length);
      for (const one of edits) header = apply(header, one);
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(fixLength ? header.length : length));
      return Buffer.concat([size, header, file.subarray(8 + length)]);
    });
}

/** Tells whether recorded verdicts belong to these files. */
export function digestOf(files: readonly Buffer[]): string {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.length}:`).update(file);
  return hash.digest('hex');
}

/** As a script: the digest, then every file in base64, one per line. */
if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const files = mutatedFiles();
  process.stdout.write(`${digestOf(files)}\n`);
  for (const file of files) process.stdout.write(`${file.toString('base64')}\n`);
}
