/** Weights read ahead of the session: which bytes, and when not. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Initializer } from '../../networks/onnx/proto.ts';
import { MIN_BYTES, readAhead, weightRanges } from '../../networks/read-ahead.ts';

const part = (offset: number, bytes: number): Initializer => ({
  name: `at ${offset}`,
  type: 'f16',
  shape: [bytes / 2],
  data: { location: 'model.safetensors', offset, bytes },
});

describe('weightRanges', () => {
  const rangesOf = (initializers: Initializer[]) =>
    weightRanges({ nodes: [], inputs: [], outputs: [], initializers });

  it('has neighbours as one, in the order of the file', () => {
    expect(rangesOf([part(500, 20), part(100, 40), part(140, 60), part(300, 8)])).toEqual([
      [100, 200],
      [300, 308],
      [500, 520],
    ]);
  });

  it('leaves out what the graph holds itself', () => {
    const own: Initializer = { name: 'c', type: 'f32', shape: [1], data: new Uint8Array(4) };
    expect(rangesOf([own])).toEqual([]);
  });
});

describe('readAhead', () => {
  let folder = '';
  let file = '';
  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-read-ahead-'));
    file = path.join(folder, 'weights');
    fs.writeFileSync(file, '');
    // A hole: no bytes on the disk.
    fs.truncateSync(file, 2 * MIN_BYTES);
  });
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

  const half: [number, number] = [0, MIN_BYTES / 2];
  const rest: [number, number] = [MIN_BYTES, 2 * MIN_BYTES];

  it('reads every range to its end', async () => {
    expect(await readAhead(file, [half, rest])).toBe(1.5 * MIN_BYTES);
  });

  it('ends where the file does', async () => {
    expect(await readAhead(file, [[MIN_BYTES, 3 * MIN_BYTES]])).toBe(MIN_BYTES);
  });

  it('leaves small networks alone', async () => {
    expect(await readAhead(file, [half])).toBeNull();
  });

  it('leaves it where memory would not hold the weights', async () => {
    expect(await readAhead(file, [rest], 2.9 * MIN_BYTES)).toBeNull();
    expect(await readAhead(file, [rest], 3 * MIN_BYTES)).toBe(MIN_BYTES);
  });

  it('is silent about a file that cannot be read', async () => {
    expect(await readAhead(path.join(folder, 'none'), [rest])).toBeNull();
  });
});
