/** The UNet with merged tokens against tomesd on the same tiny checkpoint. */
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { planTokenMerging } from '../../networks/onnx/token-merging.ts';
import { createNetwork, type Network } from '../../networks/session.ts';
import { writeUnet } from '../../networks/unet.ts';
import cases from '../fixtures/token-merging/token-merging.json' with { type: 'json' };
import { fixtureCheckpoint, fixtureTensor, relativeError } from './fixture.ts';

const TOLERANCE = 1e-4;

describe('token merging', () => {
  let unet: Network;
  beforeAll(async () => {
    const file = await readHeader(fixtureCheckpoint('sd15'));
    const weights = { location: path.basename(file.path), tensors: file.tensors };
    const graph = writeUnet(weights, detectCheckpoint(file).unet, { mergesTokens: true });
    unet = await createNetwork('sd15', graph, file.path, { device: 'cpu', threads: 2 });
  });
  afterAll(() => unet.release());

  async function predict(latent: string, ratio: number): Promise<Float32Array> {
    const f32 = (name: string) => ({ type: 'float32' as const, ...fixtureTensor('sd15', name) });
    const sample = f32(latent);
    const timestep = fixtureTensor('sd15', 'unet.timesteps').data[1] as number;
    const [, , height, width] = sample.shape as [number, number, number, number];
    const feeds = {
      sample,
      timesteps: {
        type: 'float32' as const,
        data: new Float32Array(2).fill(timestep),
        shape: [2],
      },
      context: f32('unet.context'),
      ...planTokenMerging([height, width], ratio),
    };
    const { out } = await unet.run(feeds, ['out']);
    return out?.data as Float32Array;
  }

  it.each(cases)('$latent at $ratio is as recorded', async ({ latent, ratio, output }) => {
    const actual = await predict(latent, ratio);
    expect(relativeError(actual, output)).toBeLessThan(TOLERANCE);
    const plain = latent === 'unet.latent' ? 'unet.output.1' : 'unet.odd.output';
    expect(relativeError(actual, fixtureTensor('sd15', plain).data)).toBeGreaterThan(TOLERANCE);
  });

  it('of no tokens changes nothing', async () => {
    const { data } = fixtureTensor('sd15', 'unet.output.1');
    expect(relativeError(await predict('unet.latent', 0), data)).toBeLessThan(TOLERANCE);
  });
});
