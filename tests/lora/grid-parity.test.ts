/** Every kind of LoRA in every naming, in whole networks, against LyCORIS, PEFT and diffusers. */
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
import {
  GRID_KINDS,
  GRID_WEIGHTS,
  type GridKind,
  type GridNaming,
  gridStacks,
  namingsOf,
  writeGridFile,
} from './grid.ts';

/** A tenth of what is asked for; the greatest error seen is 4e-6. */
const TOLERANCE = 1e-4;
const TIMESTEP = 521.37;
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const recorded = await readHeader(fixture('lora-grid/grid.safetensors'));
const inputs = await readHeader(fixture('lora/outputs.safetensors'));
/** Values of an output that the fixtures' networks give; the recorded ones are spread over these. */
const SAMPLED = 256;
const spread = (values: Float32Array, count: number): Float32Array =>
  Float32Array.from(
    { length: count },
    (_, i) => values[Math.floor((i * values.length) / count)] ?? 0,
  );

describe.each(['sd15', 'sdxl'] as const)('LoRAs on tiny %s', (base) => {
  let folder: string;
  let model: Model;
  beforeAll(async () => {
    folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-grid-')));
    const checkpoint = { path: fixtureCheckpoint(base), name: base, hash: null };
    model = await Model.open(checkpoint, null, { device: 'cpu', threads: 1, memoryMode: 'normal' });
  });
  afterAll(async () => {
    await model.release();
    fs.rmSync(folder, { recursive: true });
  });

  const input = (name: string) => {
    const info = getTensor(inputs, `${base}.${name}`);
    return { type: 'float32' as const, data: readFloat32(inputs, info), shape: info.shape };
  };
  const readRows = (file: SafetensorsFile, name: string): Float32Array[] => {
    const info = getTensor(file, name);
    const [rows = 1, columns = 1] = info.shape.length > 1 ? info.shape : [1, ...info.shape];
    const values = readFloat32(file, info);
    return Array.from({ length: rows }, (_, i) => values.subarray(i * columns, (i + 1) * columns));
  };

  type Asked = { kind: GridKind; naming: GridNaming; weight: number };

  /** Outputs of the UNet and of every text encoder, whole. */
  async function run(asked: readonly Asked[]): Promise<Record<string, Float32Array>> {
    const find = (name: string): LoraRef => {
      const [kind, naming] = name.split('.') as [GridKind, GridNaming];
      const file = path.join(folder, `${name}.safetensors`);
      if (!fs.existsSync(file)) writeGridFile(folder, base, kind, naming);
      return { name, path: file, hash: null };
    };
    const requests = asked.map(({ kind, naming, weight }) => ({
      ...{ name: `${kind}.${naming}`, te: weight, unet: weight, dyn: null },
    }));
    const plan = await planModelLoras(requests, find, model);
    expect(plan.messages).toEqual([]);
    expect(plan.applied).toHaveLength(asked.length);
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
      const tokens: Record<string, TensorData> = {
        tokens: { type: 'int64', data: BigInt64Array.from(ids, BigInt), shape: [1, 77] },
        override: {
          type: 'float32',
          data: new Float32Array(encoder.width),
          shape: [1, 1, encoder.width],
        },
        is_overridden: { type: 'bool', data: new Uint8Array(1), shape: [1, 1, 1] },
      };
      const result = await text.run(tokens, [last], plan.feeds(encoder.prefix));
      outputs[`te${i + 1}`] = result[last]?.data as Float32Array;
    }
    return outputs;
  }

  async function compare(asked: readonly Asked[], name: string, row: number): Promise<void> {
    for (const [part, values] of Object.entries(await run(asked))) {
      const expected = readRows(recorded, `${base}.${name}.${part}`)[row] as Float32Array;
      const actual = spread(spread(values, SAMPLED), expected.length);
      const what = `${JSON.stringify(asked)} ${part}`;
      expect(relativeError(actual, expected), what).toBeLessThan(TOLERANCE);
    }
  }

  const cells = GRID_KINDS.flatMap((kind) =>
    namingsOf(kind).map((naming) => [kind, naming] as const),
  );

  it.each(cells)('%s, named by %s, at every weight', async (kind, naming) => {
    for (const [row, weight] of GRID_WEIGHTS.entries()) {
      await compare([{ kind, naming, weight }], kind, row);
    }
  });

  it.each(gridStacks(base).map((stack, n) => [Object.keys(stack).join(', '), stack, n] as const))(
    'three at once: %s',
    async (_, stack, n) => {
      const asked = Object.entries(stack).map(([kind, weight], i): Asked => {
        const namings = namingsOf(kind as GridKind);
        const naming = namings[(n + i) % namings.length] as GridNaming;
        return { kind: kind as GridKind, naming, weight };
      });
      await compare(asked, `stack${n}`, 0);
    },
  );

  it('weight 0 is bit-identical to none, and A, B, A to A, for every kind', async () => {
    const none = await run([]);
    const one = (kind: GridKind, weight: number) => run([{ kind, naming: 'kohya', weight }]);
    let other: GridKind = 'dora';
    for (const kind of GRID_KINDS) {
      expect(await one(kind, 0), kind).toEqual(none);
      const first = await one(kind, 1.5);
      expect(first, kind).not.toEqual(none);
      await one(other, 8);
      await one(kind, -1);
      expect(await one(kind, 1.5), kind).toEqual(first);
      other = kind;
    }
    expect(await run([])).toEqual(none);
  });
});
