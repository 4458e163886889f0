import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readHeader } from '../../../networks/checkpoint/safetensors.ts';
import { createNetwork } from '../../../networks/session.ts';
import { detectUpscaler } from '../../../networks/upscaler/detect.ts';
import { writeUpscaler } from '../../../networks/upscaler/graph.ts';
import { type SmallTensor, writeTensorFile } from '../../lora/write-tensors.ts';
import { maxDifference } from '../../pipelines/tiny.ts';
import { recordedRun, upscalerFile } from './fixture.ts';

const TOLERANCE = 1e-4;

const folder = mkdtempSync(path.join(tmpdir(), 'sdserve-upscalers-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('tiny upscalers give what PyTorch gives', () => {
  it.each([
    ['x4plus', { architecture: 'rrdb', scale: 4, unshuffle: 1, blocks: 2, width: 4 }],
    ['x2plus', { scale: 2, unshuffle: 2, prefix: 'params_ema.' }],
    ['x1plus', { scale: 1, unshuffle: 4 }],
    ['esrgan', { scale: 4 }],
    ['old-x1', { scale: 1 }],
    ['old-x2-plus', { scale: 2, hasShortcuts: true }],
    ['old-x4', { scale: 4, blocks: 2, hasShortcuts: false }],
    ['old-x8', { scale: 8 }],
    ['old-x2-shuffled', { scale: 2, upFactors: [{ factor: 2, isShuffled: true }] }],
    ['compact-x4', { architecture: 'compact', scale: 4, lastIndex: 6 }],
    ['compact-x2', { scale: 2 }],
    ['compact-x1', { scale: 1 }],
  ])('%s', async (name, facts) => {
    const file = await readHeader(upscalerFile(name));
    const config = detectUpscaler(file);
    expect(config).toMatchObject(facts);
    const location = path.basename(file.path);
    const graph = writeUpscaler({ location, tensors: file.tensors }, config);
    const network = await createNetwork(name, graph, file.path, { device: 'cpu', threads: 1 });
    const { input, output } = await recordedRun(name);
    const image = { type: 'uint8', data: input.data, shape: [1, ...input.shape] } as const;
    const { pixels, rgb, sum } = await network.run({ image }, ['pixels', 'rgb', 'sum']);
    await network.release();
    expect(pixels?.shape).toEqual([1, ...output.shape]);
    expect(maxDifference(pixels?.data ?? [], output.data)).toBeLessThan(TOLERANCE);
    expect(rgb?.shape).toEqual([1, output.shape[1], output.shape[2], 3]);
    const [first = 0] = output.data;
    expect(rgb?.data[0]).toBe(Math.min(255, Math.max(0, Math.round(first * 255))));
    expect(Number.isFinite(sum?.data[0])).toBe(true);
  });
});

type Tensors = Record<string, SmallTensor>;

/** Detects a recorded file after a change to its tensors; values do not matter. */
async function detectChanged(name: string, change: (tensors: Tensors) => void): Promise<unknown> {
  const { tensors } = await readHeader(upscalerFile(name));
  const changed: Tensors = Object.fromEntries(
    [...tensors.values()].map((info) => [info.name, { shape: info.shape }]),
  );
  change(changed);
  const file = writeTensorFile(path.join(folder, 'a.safetensors'), changed);
  return detectUpscaler(await readHeader(file));
}

/** Makes the second block a third one: the second is then missing. */
function moveSecondBlock(tensors: Tensors): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    if (!name.startsWith('body.1.')) continue;
    delete tensors[name];
    tensors[name.replace('body.1.', 'body.2.')] = tensor;
  }
}

const remove = (name: string) => (tensors: Tensors) => void delete tensors[name];
const put = (name: string, shape: number[]) => (tensors: Tensors) => {
  tensors[name] = { shape };
};

describe('a file is refused that', () => {
  it.each<[string, string, string, (tensors: Tensors) => void]>([
    ['lacks a tensor', 'x4plus', 'UPSCALER_INCOMPLETE', remove('body.1.rdb2.conv3.weight')],
    ['lacks a block in the middle', 'x4plus', 'UNEXPECTED_TENSOR', moveSecondBlock],
    [
      'has a tensor of another shape',
      'esrgan',
      'SHAPE_CONTRADICTION',
      put('HRconv.weight', [4, 5, 3, 3]),
    ],
    [
      'has a tensor without a place',
      'old-x4',
      'UNEXPECTED_TENSOR',
      put('model.1.sub.0.RDB4.conv1.0.weight', [2, 4, 3, 3]),
    ],
    ['takes two colours', 'x4plus', 'NOT_AN_UPSCALER', put('conv_first.weight', [4, 2, 3, 3])],
    [
      'has a factor that is none',
      'compact-x2',
      'NOT_AN_UPSCALER',
      (tensors) => {
        put('body.6.weight', [15, 4, 3, 3])(tensors);
        put('body.6.bias', [15])(tensors);
      },
    ],
    ['has no slopes', 'compact-x2', 'UPSCALER_INCOMPLETE', remove('body.3.weight')],
    [
      'is something else',
      'x4plus',
      'NOT_AN_UPSCALER',
      (tensors) => {
        for (const name of Object.keys(tensors)) delete tensors[name];
        put('layers.0.residual_group.weight', [4])(tensors);
      },
    ],
  ])('%s', async (_title, name, code, change) => {
    const message = expect.stringContaining('a.safetensors');
    await expect(detectChanged(name, change)).rejects.toMatchObject({ code, message });
  });

  it('and is accepted as it was', async () => {
    for (const name of ['x4plus', 'esrgan', 'old-x4', 'compact-x2']) {
      await expect(detectChanged(name, () => {})).resolves.toHaveProperty('scale');
    }
  });
});
