/** The networks of pictures that tile, against PyTorch with circular padding on the same checkpoint. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelConfig } from '../../networks/checkpoint/config.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { readHeader, type SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';
import type { Graph, WeightFile } from '../../networks/onnx/graph.ts';
import { createNetwork, type Network } from '../../networks/session.ts';
import { writeUnet } from '../../networks/unet.ts';
import { writeVaeDecoder, writeVaeEncoder } from '../../networks/vae.ts';
import { fixtureCheckpoint, fixtureTensor, relativeError } from './fixture.ts';

const TOLERANCE = 1e-4;
const TIMESTEP = 521.37;

let file: SafetensorsFile;
let config: ModelConfig;
let vae: NonNullable<ModelConfig['vae']>;
const made: Network[] = [];

beforeAll(async () => {
  file = await readHeader(fixtureCheckpoint('sd15'));
  config = detectCheckpoint(file);
  vae = config.vae as typeof vae;
});
afterAll(async () => {
  for (const network of made) await network.release();
});

async function open(write: (weights: WeightFile) => Graph): Promise<Network> {
  const weights = { location: file.path.split(/[\\/]/).at(-1) as string, tensors: file.tensors };
  const options = { device: 'cpu', threads: 1, keepsHalf: false } as const;
  const network = await createNetwork('sd15', write(weights), file.path, options);
  made.push(network);
  return network;
}

const input = (name: string) => ({ type: 'float32' as const, ...fixtureTensor('sd15', name) });

/** How far an output is from PyTorch's with circular padding, and from its with zeros. */
function compare(actual: ArrayLike<number>, name: string, factor = 1) {
  const distance = (kind: 'sd15' | 'sd15-circular') =>
    relativeError(
      actual,
      fixtureTensor(kind, name).data.map((value) => value * factor),
    );
  return { circular: distance('sd15-circular'), zeros: distance('sd15') };
}

function expectCircular(actual: ArrayLike<number>, name: string, factor = 1): void {
  const { circular, zeros } = compare(actual, name, factor);
  expect(circular).toBeLessThan(TOLERANCE);
  // Otherwise the comparison would tell nothing.
  expect(zeros).toBeGreaterThan(100 * TOLERANCE);
}

describe('with convolutions that wrap around', () => {
  it.each([
    ['unet.latent', 'unet.output.1'],
    ['unet.odd.latent', 'unet.odd.output'],
  ])('the UNet makes of %s what PyTorch makes', async (latent, output) => {
    const unet = await open((weights) => writeUnet(weights, config.unet, { circular: true }));
    const timesteps = {
      type: 'float32' as const,
      data: new Float32Array(2).fill(TIMESTEP),
      shape: [2],
    };
    const feeds = { sample: input(latent), timesteps, context: input('unet.context') };
    const { out } = await unet.run(feeds, ['out']);
    expectCircular(out?.data as Float32Array, output);
  });

  it('so does the VAE decoder', async () => {
    const decoder = await open((weights) => writeVaeDecoder(weights, vae, { circular: true }));
    const latent = input('vae.latent');
    const data = latent.data.map((value) => value * vae.scaleFactor);
    const { pixels } = await decoder.run({ latent: { ...latent, data } }, ['pixels']);
    expectCircular(pixels?.data as Float32Array, 'vae.decoded');
  });

  it('so does the VAE encoder', async () => {
    const encoder = await open((weights) => writeVaeEncoder(weights, vae, { circular: true }));
    const { mean } = await encoder.run({ pixels: input('vae.pixels') }, ['mean']);
    expectCircular(mean?.data as Float32Array, 'vae.mean', vae.scaleFactor);
  });
});
