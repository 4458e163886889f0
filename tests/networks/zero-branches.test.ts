import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import {
  getTensor,
  readHeader,
  type SafetensorsFile,
} from '../../networks/checkpoint/safetensors.ts';
import { isZeroTensor } from '../../networks/checkpoint/zero-tensor.ts';
import type { Graph, WeightFile } from '../../networks/onnx/graph.ts';
import { createNetwork } from '../../networks/session.ts';
import { writeVaeDecoder, writeVaeEncoder } from '../../networks/vae.ts';

const DEMO = fileURLToPath(
  new URL('../../demo/models/Stable-diffusion/sdserve-demo.safetensors', import.meta.url),
);

describe('isZeroTensor', () => {
  const LENGTH = 70_000; // f16: longer than one read
  let folder: string;
  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-zero-'));
  });
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  async function write(name: string, set: [at: number, value: number][]): Promise<SafetensorsFile> {
    const header = JSON.stringify({
      x: { dtype: 'F16', shape: [LENGTH], data_offsets: [0, 2 * LENGTH] },
    });
    const data = new Uint8Array(2 * LENGTH);
    for (const [at, value] of set) data[at] = value;
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const file = path.join(folder, `${name}.safetensors`);
    fs.writeFileSync(file, Buffer.concat([length, Buffer.from(header), data]));
    return readHeader(file);
  }

  it.each<[string, [number, number][], boolean]>([
    ['zeros', [], true],
    ['first', [[0, 1]], false],
    ['last', [[2 * LENGTH - 1, 1]], false],
    ['minus zero', [[1, 0x80]], false],
  ])('%s', async (name, set, expected) => {
    const file = await write(name, set);
    expect(isZeroTensor(file, getTensor(file, 'x'))).toBe(expected);
  });

  it('leaves a file that is gone or too short to whoever loads it', async () => {
    const file = await write('short', []);
    fs.truncateSync(file.path, 1000);
    expect(isZeroTensor(file, getTensor(file, 'x'))).toBe(false);
    fs.rmSync(file.path);
    expect(isZeroTensor(file, getTensor(file, 'x'))).toBe(false);
  });
});

describe('branches that end in zeros', () => {
  const countConvs = (graph: Graph) => graph.model.nodes.filter(({ op }) => op === 'Conv').length;

  it.each([
    ['decoder', writeVaeDecoder, 'latent', [1, 4, 4, 6], 'pixels'],
    ['encoder', writeVaeEncoder, 'pixels', [1, 3, 32, 48], 'mean'],
  ] as const)(
    'are left out of the demo’s %s, to the same end',
    async (name, write, input, shape, output) => {
      const file = await readHeader(DEMO);
      const config = detectCheckpoint(file).vae;
      if (!config) throw new Error('The demo checkpoint has a VAE.');
      const all: WeightFile = { location: path.basename(DEMO), tensors: file.tensors };
      const graphs = [
        write(all, config),
        write({ ...all, isZero: (one) => isZeroTensor(file, one) }, config),
      ];
      const [before, after] = graphs.map(countConvs) as [number, number];
      expect(after).toBeLessThan(before);
      const size = shape.reduce<number>((a, b) => a * b, 1);
      const data = Float32Array.from({ length: size }, (_, i) => Math.sin(i * i));
      const results: Float32Array[] = [];
      for (const graph of graphs) {
        const network = await createNetwork(name, graph, DEMO, { device: 'cpu', threads: 1 });
        const run = await network.run({ [input]: { type: 'float32', data, shape } }, [output]);
        results.push(run[output]?.data as Float32Array);
        await network.release();
      }
      const [full, short] = results as [Float32Array, Float32Array];
      expect(full.some((x) => Math.abs(x) > 0.1)).toBe(true);
      expect(Math.max(...full.map((x, i) => Math.abs(x - (short[i] as number))))).toBeLessThan(
        1e-5,
      );
    },
  );
});
