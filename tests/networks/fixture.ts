/**
 * What the network tests compare with: tiny checkpoints, made when first asked for, and the tensors
 * that diffusers and transformers computed from the same files (tests/fixtures/networks).
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type MakeOptions, makeCheckpoint } from '../../benchmarks/make-checkpoint.ts';
import checkpoints from '../fixtures/networks/checkpoints.json' with { type: 'json' };

export type CheckpointFixture = keyof typeof checkpoints;
export type RecordedFile = Exclude<CheckpointFixture, 'sdxl-v'> | 'sd15-circular' | 'txt2img';

/** A recorded tensor: row-major values and their shape. */
export interface FixtureTensor {
  shape: number[];
  data: Float32Array;
}

const RECORDED = new URL('../fixtures/networks/', import.meta.url);
const BENCHMARKS = new URL('../../benchmarks/', import.meta.url);
const CACHE = path.join(os.tmpdir(), 'sdserve-test-checkpoints');

let makerSources: string | undefined;

function readMakerSources(): string {
  const files = fs
    .readdirSync(new URL('checkpoints/', BENCHMARKS))
    .sort()
    .map((file) => `checkpoints/${file}`);
  return ['make-checkpoint.ts', ...files]
    .map((file) => fs.readFileSync(new URL(file, BENCHMARKS), 'utf8'))
    .join('\n');
}

/**
 * Makes a synthetic file once per machine and returns its absolute path. The name holds a hash of
 * the options and of the maker's sources, so a change of either makes a new file; test files that
 * run at the same time may each write it, the last rename wins with the same bytes.
 */
export function makeCached(options: Omit<MakeOptions, 'out'>): string {
  makerSources ??= readMakerSources();
  const hash = createHash('sha256').update(makerSources).update(JSON.stringify(options));
  const name = `${options.arch}-${hash.digest('hex').slice(0, 16)}.safetensors`;
  const file = path.join(CACHE, name);
  if (!fs.existsSync(file)) makeCheckpoint({ ...options, out: file });
  return file;
}

/** Returns the path of a checkpoint of `tests/fixtures/networks/checkpoints.json`. */
export function fixtureCheckpoint(name: CheckpointFixture): string {
  return makeCached(checkpoints[name] as Omit<MakeOptions, 'out'>);
}

interface Recorded {
  header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  /** The data section, copied to an aligned buffer. */
  data: ArrayBuffer;
}

const recorded = new Map<RecordedFile, Recorded>();

// Its own few lines of safetensors, so that a fault of the reader under test cannot hide itself.
function readRecorded(file: RecordedFile): Recorded {
  const known = recorded.get(file);
  if (known) return known;
  const bytes = fs.readFileSync(new URL(`${file}.safetensors`, RECORDED));
  const dataStart = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, dataStart));
  const read = { header, data: new Uint8Array(bytes.subarray(dataStart)).buffer };
  recorded.set(file, read);
  return read;
}

function find(file: RecordedFile, name: string, dtype: string) {
  const { header, data } = readRecorded(file);
  const entry = header[name];
  if (entry?.dtype !== dtype) throw new Error(`${file}.safetensors has no ${dtype} ${name}.`);
  const [begin, end] = entry.data_offsets;
  return { shape: entry.shape, data, begin, length: (end - begin) / 4 };
}

/** Lists the names of the tensors in a recorded file. */
export function fixtureNames(file: RecordedFile): string[] {
  return Object.keys(readRecorded(file).header).filter((name) => name !== '__metadata__');
}

/**
 * Returns a recorded float32 tensor; the data is the caller's to change.
 *
 * @throws Error when the file has no such tensor
 */
export function fixtureTensor(file: RecordedFile, name: string): FixtureTensor {
  const { shape, data, begin, length } = find(file, name, 'F32');
  return { shape: [...shape], data: new Float32Array(data, begin, length).slice() };
}

/** Returns recorded token ids: one row of 77 per chunk. */
export function fixtureTokens(file: RecordedFile, name: string): number[][] {
  const { shape, data, begin, length } = find(file, name, 'I32');
  const ids = Array.from(new Int32Array(data, begin, length));
  const [rows = 0, columns = 0] = shape;
  return Array.from({ length: rows }, (_, row) => ids.slice(row * columns, (row + 1) * columns));
}

/**
 * Returns ||actual - expected|| / ||expected|| over all values; NaN when any value is NaN.
 *
 * @throws RangeError when the lengths differ
 */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) {
    throw new RangeError(`Expected ${expected.length} values but received ${actual.length}.`);
  }
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    const value = expected[i] ?? Number.NaN;
    difference += ((actual[i] ?? Number.NaN) - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}
