import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCommandLine } from '../../benchmarks/command-line.ts';
import { countRun, countSizes } from '../../benchmarks/measures/flops.ts';
import type { Results } from '../../benchmarks/results.ts';
import { unetFeeds } from '../../benchmarks/subject.ts';
import { median, mergeMeasured, timeInTurns } from '../../benchmarks/timing.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { Graph } from '../../networks/onnx/graph.ts';
import { writeUnet } from '../../networks/unet.ts';
import { fixtureCheckpoint } from '../networks/fixture.ts';

const ROOT = path.join(import.meta.dirname, '../..');

describe('the benchmarks, a smoke run', () => {
  let folder: string;
  let report: string;
  let results: Results;

  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-bench-'));
    const json = path.join(folder, 'results.json');
    const args = [
      '--tiny',
      '--checkpoint',
      fixtureCheckpoint('sd15'),
      '--runs',
      '1',
      '--json',
      json,
    ];
    report = execFileSync(
      process.execPath,
      ['--import', 'tsx', path.join(ROOT, 'benchmarks/main.ts'), ...args],
      { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    results = JSON.parse(fs.readFileSync(json, 'utf8'));
  });
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  it('times every part and finds its peak of memory', () => {
    expect(results.ours.timings.map(({ label }) => label)).toEqual([
      'load, text encoders',
      'load, UNet',
      'load, VAE decoder',
      'load, all networks',
      'LoRA of rank 4, 216 modules, 0 MB, first load',
      'LoRA of rank 4, 216 modules, 0 MB, another weight',
      'text encode, 77 tokens',
      'UNet, batch 1, 64x64',
      'UNet, batch 2, 64x64',
      'UNet, batch 1, 64x64, LoRA of rank 4',
      'VAE decode, 64x64',
    ]);
    for (const { runs } of results.ours.timings) expect(Math.min(...runs)).toBeGreaterThan(0);
    for (const bytes of Object.values(results.ours.peaks)) expect(bytes).toBeGreaterThan(5e7);
    expect(Object.keys(results.ours.peaks)).toContain('a picture of 64x64, start to end');
  });

  it('measures the ceiling of both kinds of node', () => {
    const { conv = [], gemm = [] } = results.ceiling ?? {};
    expect([conv.length, gemm.length]).toEqual([6, 6]);
    for (const { gflops } of [...conv, ...gemm]) expect(gflops).toBeGreaterThan(0);
  });

  it('counts a batch of two as twice the work', () => {
    const { flops } = results;
    const [one, two] = [flops['UNet, batch 1, 64x64'], flops['UNet, batch 2, 64x64']];
    expect(one?.conv).toBeGreaterThan(0);
    expect(two?.conv).toBe(2 * (one?.conv as number));
  });

  it('prints one table row per timing', () => {
    for (const { label } of results.ours.timings) expect(report).toContain(`| ${label} |`);
    expect(report).toMatch(/^\| rank 4, all attention layers \| \d\.\d{3}x \|$/m);
  });
});

describe('operations', () => {
  it('of a size that was not run are those of a run of it', async () => {
    const file = await readHeader(fixtureCheckpoint('sdxl'));
    const config = detectCheckpoint(file).unet;
    const weights = { location: path.basename(file.path), tensors: file.tensors };
    const count = (batch: number) => (height: number, width: number) =>
      countRun(
        writeUnet(weights, config),
        file.path,
        unetFeeds(config, { batch, height, width }),
        'out',
      );
    const [extrapolated] = await countSizes(count(1), [24 * 32]);
    const run = await count(2)(24, 32);
    for (const kind of ['conv', 'gemm', 'attention'] as const)
      expect((2 * (extrapolated?.[kind] as number)) / run[kind]).toBeCloseTo(1, 9);
  });

  it('are two per multiply-add of each kind of node', async () => {
    const g = new Graph({ location: '', tensors: new Map() }, '');
    const x = g.input('x', 'f32', [1, 4, 8, 16]);
    const ones = (...shape: number[]) =>
      g.floats(new Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape);
    const conv = g.op('Conv', [x, ones(6, 4, 3, 3)], {
      kernel_shape: [3, 3],
      strides: [2, 2],
      pads: [1, 1, 1, 1],
    });
    const rows = g.op('Reshape', [conv, g.ints([6, 4 * 8])]);
    const tokens = g.op('MatMul', [
      g.op('Gemm', [rows, ones(10, 32)], { transB: 1 }),
      ones(10, 64),
    ]);
    const [query, source] = [
      g.op('Reshape', [tokens, g.ints([1, 6, 64])]),
      g.op('Reshape', [tokens, g.ints([2, 3, 64])]),
    ];
    const key = g.op('Slice', [source, g.ints([0]), g.ints([1]), g.ints([0])]);
    const mixed = g.op('com.microsoft:MultiHeadAttention', [query, key, key], { num_heads: 2 });
    g.output('y', mixed, 'f32', [1, 6, 64]);
    const data = new Float32Array(4 * 8 * 16);
    const feeds = { x: { type: 'float32' as const, data, shape: [1, 4, 8, 16] } };
    expect(await countRun(g, process.execPath, feeds, 'y')).toEqual({
      conv: 2 * (6 * 4 * 8) * (4 * 3 * 3),
      gemm: 2 * 6 * 32 * 10 + 2 * 6 * 10 * 64,
      // Scores and mix: two products of [6, 64] with [3, 64].
      attention: 2 * (2 * 6 * 3 * 64),
    });
  });
});

describe('timings', () => {
  it('have the middle value, or the mean of the middle two, as median', () => {
    expect(median([9, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 9])).toBe(3.5);
    expect(median([])).toBeNaN();
  });

  it('take variants in turns after a first run of each', async () => {
    const order: string[] = [];
    const note = (name: string) => async () => order.push(name);
    const timings = await timeInTurns({ a: note('a'), b: note('b') }, 2);
    expect(order.join('')).toBe('ababab');
    expect(timings.map(({ runs }) => runs.length)).toEqual([2, 2]);
  });

  it('of several rounds come together under their labels', () => {
    const round = (run: number, peak: number) => ({
      timings: [{ label: 'x', first: run, runs: [run] }],
      peaks: { x: peak },
    });
    expect(mergeMeasured([round(1, 5), round(2, 4)])).toEqual({
      timings: [{ label: 'x', first: 1, runs: [1, 2] }],
      peaks: { x: 5 },
    });
  });
});

describe('the command line', () => {
  it('leaves the size to the checkpoint, but not that of a smoke run', () => {
    const defaults = { batches: [1, 2], ranks: [16, 64], rounds: 1, runs: 3 };
    expect(readCommandLine([])).toMatchObject({ ...defaults, size: undefined });
    expect(readCommandLine(['--tiny', '--ranks', 'none'])).toMatchObject({ size: 64, ranks: [] });
  });

  it('takes lists', () => {
    const options = readCommandLine(['--only', 'unet,vae', '--batches', '2,4']);
    expect(options).toMatchObject({ only: ['unet', 'vae'], batches: [2, 4] });
  });
});
