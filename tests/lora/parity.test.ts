/** Networks with LoRAs as inputs against the same LoRAs merged into the weights in PyTorch. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelLayers } from '../../lora/layers.ts';
import { listLayers } from '../../lora/layers.ts';
import { type LoraRef, planLoras } from '../../lora/plan.ts';
import { LoraStore } from '../../lora/store.ts';
import type { ModelConfig } from '../../networks/checkpoint/config.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import {
  getTensor,
  readFloat32,
  readHeader,
  readTensor,
  type SafetensorsFile,
} from '../../networks/checkpoint/safetensors.ts';
import type { Graph, WeightFile } from '../../networks/onnx/graph.ts';
import { createNetwork, type Network, type TensorData } from '../../networks/session.ts';
import { writeTextEncoder } from '../../networks/text-encoder.ts';
import { writeUnet } from '../../networks/unet.ts';
import { fixtureCheckpoint, relativeError } from '../networks/fixture.ts';
import { fixtureLora, type LoraCase } from './make-lora.ts';

const TOLERANCE = 1e-3;
const TIMESTEP = 521.37;
const WEIGHTS = [-1, 0.5, 1.5, 8];
const RECORDED = fileURLToPath(new URL('../fixtures/lora/outputs.safetensors', import.meta.url));

const BASES = {
  sd15: {
    cases: [
      'kohya-sd15',
      'locon-sd15',
      'tucker-sd15',
      'peft-sd15',
      'diffusers-sd15',
      'processor-sd15',
    ],
    stack: { 'kohya-sd15': 0.5, 'locon-sd15': -1, 'peft-sd15': 1.5 },
  },
  sd2: { cases: ['kohya-sd2'], stack: null },
  sdxl: {
    cases: ['kohya-sdxl', 'locon-sdxl', 'kohya-diffusers-sdxl', 'peft-sdxl'],
    stack: { 'kohya-sdxl': 1.5, 'peft-sdxl': 0.5, 'locon-sdxl': -1 },
  },
} as const;

const find = (name: string): LoraRef => ({ name, path: fixtureLora(name as LoraCase), hash: null });

describe.each(['sd15', 'sd2', 'sdxl'] as const)('LoRAs on tiny %s', (base) => {
  const { cases, stack } = BASES[base];
  const store = new LoraStore();
  let file: SafetensorsFile;
  let config: ModelConfig;
  let model: ModelLayers;
  let recorded: SafetensorsFile;
  const networks = new Map<string, Network>();

  beforeAll(async () => {
    file = await readHeader(fixtureCheckpoint(base));
    config = detectCheckpoint(file);
    model = listLayers(file.tensors, config);
    recorded = await readHeader(RECORDED);
    const make = async (prefix: string, write: (weights: WeightFile) => Graph) => {
      const location = file.path.split(/[\\/]/).at(-1) as string;
      const graph = write({ location, tensors: file.tensors });
      const options = { device: 'cpu', threads: 1 } as const;
      networks.set(prefix, await createNetwork(prefix, graph, file.path, options));
    };
    await make(config.unet.prefix, (weights) => writeUnet(weights, config.unet));
    for (const encoder of config.textEncoders) {
      await make(encoder.prefix, (weights) => writeTextEncoder(weights, encoder));
    }
  });
  afterAll(async () => {
    for (const network of networks.values()) await network.release();
  });

  const read = (name: string) => {
    const info = getTensor(recorded, `${base}.${name}`);
    return { type: 'float32' as const, data: readFloat32(recorded, info), shape: info.shape };
  };

  /** Every network's output with some LoRAs, as many evenly spread values as were recorded. */
  async function run(loras: Record<string, number>): Promise<Record<string, Float32Array>> {
    const requests = Object.entries(loras).map(([name, w]) => ({
      name,
      te: w,
      unet: w,
      dyn: null,
    }));
    const plan = await planLoras(requests, find, model, store);
    expect(plan.messages).toEqual([]);
    expect(plan.applied.length).toBe(requests.length);
    const outputs: Record<string, Float32Array> = {};
    const timesteps = { type: 'float32' as const, data: new Float32Array([TIMESTEP]), shape: [1] };
    const feeds: Record<string, TensorData> = {
      sample: read('latent'),
      timesteps,
      context: read('context'),
    };
    if (recorded.tensors.has(`${base}.label`)) feeds.y = read('label');
    const unet = networks.get(config.unet.prefix) as Network;
    const prefix = config.unet.prefix;
    const { out } = await unet.run(feeds, ['out'], plan.feeds(prefix));
    outputs.unet = spread(out?.data as Float32Array);
    const ids = new Int32Array(readTensor(recorded, getTensor(recorded, `${base}.tokens`)).buffer);
    for (const [i, encoder] of config.textEncoders.entries()) {
      const last = `hidden.${encoder.layers}`;
      const tokens = {
        tokens: { type: 'int64' as const, data: BigInt64Array.from(ids, BigInt), shape: [1, 77] },
        override: {
          type: 'float32' as const,
          data: new Float32Array(encoder.width),
          shape: [1, 1, encoder.width],
        },
        is_overridden: { type: 'bool' as const, data: new Uint8Array(1), shape: [1, 1, 1] },
      };
      const network = networks.get(encoder.prefix) as Network;
      const result = await network.run(tokens, [last], plan.feeds(encoder.prefix));
      outputs[`te${i + 1}`] = spread(result[last]?.data as Float32Array);
    }
    return outputs;
  }

  function spread(values: Float32Array): Float32Array {
    const { length } = read('none.unet').data;
    return Float32Array.from(
      { length },
      (_, i) => values[Math.floor((i * values.length) / length)] ?? 0,
    );
  }

  async function compare(loras: Record<string, number>, name: string): Promise<void> {
    for (const [part, values] of Object.entries(await run(loras))) {
      const expected = read(`${name}.${part}`).data;
      expect(relativeError(values, expected), `${name} ${part}`).toBeLessThan(TOLERANCE);
    }
  }

  it('without any gives the recorded outputs', () => compare({}, 'none'));

  it.each(cases.flatMap((name) => WEIGHTS.map((weight) => [name, weight] as const)))(
    '%s at weight %d',
    (name, weight) => compare({ [name]: weight }, `${name}.${weight}`),
  );

  if (stack) it('three at once, each at its own weight', () => compare(stack, 'stack'));

  it('weight 0 is bit-identical to none; A, B, A is bit-identical to A', async () => {
    const [a, b] = [cases[0], cases.at(-1) as LoraCase];
    const none = await run({});
    expect(await run({ [a]: 0 })).toEqual(none);
    const first = await run({ [a]: 1.5 });
    expect(first).not.toEqual(none);
    await run({ [a]: -1 });
    await run({ [b]: 8, [a]: 0.5 });
    expect(await run({ [a]: 1.5 })).toEqual(first);
  });
});
