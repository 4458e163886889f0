/** Whole networks with every kind of module merged, against LyCORIS and PyTorch. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoraRef } from '../../lora/plan.ts';
import {
  getTensor,
  readFloat32,
  readHeader,
  readTensor,
  type SafetensorsFile,
} from '../../networks/checkpoint/safetensors.ts';
import type { TensorData } from '../../networks/session.ts';
import { Model } from '../../pipelines/model/model.ts';
import { planModelLoras } from '../../pipelines/model/plan-loras.ts';
import { fixtureCheckpoint, relativeError } from '../networks/fixture.ts';
import { writeTensorFile } from './write-tensors.ts';

const TOLERANCE = 1e-3;
const TIMESTEP = 521.37;
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

describe.each(['sd15', 'sdxl'] as const)('every kind on tiny %s', (base) => {
  let folder: string;
  let model: Model;
  let recorded: SafetensorsFile;
  let inputs: SafetensorsFile;
  beforeAll(async () => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-merged-'));
    recorded = await readHeader(fixture('lora-merged/merged.safetensors'));
    inputs = await readHeader(fixture('lora/outputs.safetensors'));
    for (const file of ['a', 'b']) {
      const start = `${base}.${file}/`;
      const own = [...recorded.tensors.values()].filter(({ name }) => name.startsWith(start));
      const tensors = own.map((info) => [
        info.name.slice(start.length),
        { shape: info.shape, values: [...readFloat32(recorded, info)] },
      ]);
      writeTensorFile(path.join(folder, `${file}.safetensors`), Object.fromEntries(tensors));
    }
    model = await Model.open({ path: fixtureCheckpoint(base), name: base, hash: null }, null, {
      device: 'cpu',
      threads: 1,
      memoryMode: 'normal',
    });
  });
  afterAll(async () => {
    await model.release();
    fs.rmSync(folder, { recursive: true });
  });

  const input = (name: string) => {
    const info = getTensor(inputs, `${base}.${name}`);
    return { type: 'float32' as const, data: readFloat32(inputs, info), shape: info.shape };
  };

  async function run(loras: Record<string, number>): Promise<Record<string, Float32Array>> {
    const find = (name: string): LoraRef => ({
      ...{ name, path: path.join(fs.realpathSync(folder), `${name}.safetensors`), hash: null },
    });
    const requests = Object.entries(loras).map(([name, w]) => ({
      ...{ name, te: w, unet: w, dyn: null },
    }));
    const plan = await planModelLoras(requests, find, model);
    expect(plan.messages).toEqual([]);
    const { unet, textEncoders } = model.config;
    const feeds: Record<string, TensorData> = {
      sample: input('latent'),
      timesteps: { type: 'float32', data: new Float32Array([TIMESTEP]), shape: [1] },
      context: input('context'),
    };
    if (inputs.tensors.has(`${base}.label`)) feeds.y = input('label');
    const network = await model.unet(false, plan.merges(unet.prefix));
    const { out } = await network.run(feeds, ['out'], plan.feeds(unet.prefix));
    const outputs: Record<string, Float32Array> = { unet: out?.data as Float32Array };
    const ids = new Int32Array(readTensor(inputs, getTensor(inputs, `${base}.tokens`)).buffer);
    for (const [i, encoder] of textEncoders.entries()) {
      const last = `hidden.${encoder.layers}`;
      const text = await model.textEncoder(encoder, plan.merges(encoder.prefix));
      const result = await text.run(
        {
          tokens: { type: 'int64', data: BigInt64Array.from(ids, BigInt), shape: [1, 77] },
          override: {
            type: 'float32',
            data: new Float32Array(encoder.width),
            shape: [1, 1, encoder.width],
          },
          is_overridden: { type: 'bool', data: new Uint8Array(1), shape: [1, 1, 1] },
        },
        [last],
        plan.feeds(encoder.prefix),
      );
      outputs[`te${i + 1}`] = result[last]?.data as Float32Array;
    }
    return outputs;
  }

  /** The recorded values are spread evenly over 256 that are spread evenly over the output. */
  const spread = (values: Float32Array, count: number): Float32Array =>
    Float32Array.from(
      { length: count },
      (_, i) => values[Math.floor((i * values.length) / count)] ?? 0,
    );

  async function compare(loras: Record<string, number>, name: string): Promise<void> {
    for (const [part, values] of Object.entries(await run(loras))) {
      const info = getTensor(recorded, `${base}.${name}.${part}`);
      const actual = spread(spread(values, 256), info.shape[0] ?? 0);
      expect(relativeError(actual, readFloat32(recorded, info)), `${name} ${part}`).toBeLessThan(
        TOLERANCE,
      );
    }
  }

  it('without any gives the recorded outputs', () => compare({}, 'none'));

  it.each(['a', 'b'].flatMap((file) => [-1, 0.5, 1.5, 8].map((w) => [file, w] as const)))(
    'file %s at weight %d',
    (file, weight) => compare({ [file]: weight }, `${file}.${weight}`),
  );

  it('both, one after the other', () => compare({ a: 0.5, b: -1 }, 'stack'));

  it('A, B, A is bit-identical to A, and then nothing to nothing', async () => {
    const [none, first] = [await run({}), await run({ a: 1.5 })];
    expect(first).not.toEqual(none);
    await run({ b: 8, a: 0.5 });
    expect(await run({ a: 1.5 })).toEqual(first);
    expect(await run({})).toEqual(none);
  });
});
