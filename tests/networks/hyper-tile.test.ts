/** The UNet and the VAE's decoder with attention in tiles, against diffusers cut by the same rules. */
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { ModelConfig } from '../../networks/checkpoint/config.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { pictureTileFeed, tileFeed } from '../../networks/onnx/tiles.ts';
import { countMergedTokens, planTokenMerging } from '../../networks/onnx/token-merging.ts';
import { createNetwork, type TensorData } from '../../networks/session.ts';
import { writeUnet } from '../../networks/unet.ts';
import { writeVaeDecoder } from '../../networks/vae.ts';
import { embedSizes } from '../../pipelines/conditioning/size-embedding.ts';
import { HyperTile } from '../../pipelines/hyper-tile/hyper-tile.ts';
import { TorchCpuGenerator } from '../../pipelines/sampling/mt19937.ts';
import recorded from '../fixtures/hyper-tile/hyper-tile.json' with { type: 'json' };
import { type CheckpointFixture, fixtureCheckpoint, relativeError } from './fixture.ts';

const TOLERANCE = 1e-4;
const [KEEP_UNET, KEEP_VAE] = [13, 97];
const TEXT_TOKENS = 77;
const TIMESTEP = 500;
const SIZE = 256;
const NO_TILES = { isEnabled: false, maxDepth: 3, maxTile: 128, swapSize: 3 };

type Opened = ReturnType<typeof make>;
const opened = new Map<string, Opened>();
afterAll(async () => {
  for (const made of opened.values()) await (await made).network.release();
});

function open(...wanted: Parameters<typeof make>): Opened {
  const made = opened.get(wanted.join()) ?? make(...wanted);
  opened.set(wanted.join(), made);
  return made;
}

async function make(name: string, part: 'unet' | 'decoder', mergesTokens = false) {
  const file = await readHeader(fixtureCheckpoint(name as CheckpointFixture));
  const weights = { location: path.basename(file.path), tensors: file.tensors };
  const config = detectCheckpoint(file);
  const graph =
    part === 'unet'
      ? writeUnet(weights, config.unet, { mergesTokens, tiles: true })
      : writeVaeDecoder(weights, config.vae as NonNullable<typeof config.vae>, { tiles: true });
  const network = await createNetwork(name, graph, file.path, { device: 'cpu', threads: 2 });
  return { network, config };
}

function drawn(shape: number[], seed: number): TensorData {
  const data = new TorchCpuGenerator(seed).normal(shape.reduce((a, b) => a * b));
  return { type: 'float32', data, shape };
}

/** Of one picture: pooled text, then sizes. */
function labels(width: number, { sizeEmbedding }: ModelConfig, seed: number): TensorData {
  const { count, width: size } = sizeEmbedding as NonNullable<typeof sizeEmbedding>;
  const sizes = embedSizes(new Array(count).fill(SIZE), size);
  const pooled = drawn([1, width - sizes.length], seed).data as Float32Array;
  return { type: 'float32', data: Float32Array.from([...pooled, ...sizes]), shape: [1, width] };
}

const kept = (values: Float32Array, every: number) => values.filter((_, i) => i % every === 0);

describe('the UNet in tiles', () => {
  it.each(recorded.unet)(
    '$checkpoint at $width x $height, tiles to $maxTile, merging $ratio',
    async (run) => {
      const { checkpoint, width, height, seed, batch, ratio, maxDepth, maxTile, swapSize } = run;
      const { network, config } = await open(checkpoint, 'unet', ratio > 0);
      const unet = { isEnabled: true, inSecondPass: false, maxDepth, maxTile, swapSize };
      const tiles = new HyperTile({ unet, vae: NO_TILES }, seed, { width, height });
      const [h, w] = [height / 8, width / 8];
      const { contextDim, admChannels } = config.unet;
      const isXl = config.sizeEmbedding !== null;
      const feeds: Record<string, TensorData> = {
        sample: drawn([batch, 4, h, w], seed),
        timesteps: {
          type: 'float32',
          data: new Float32Array(batch).fill(TIMESTEP),
          shape: [batch],
        },
        context: drawn([batch, TEXT_TOKENS, contextDim], seed + 1),
        ...(isXl && { y: labels(admChannels, config, seed + 2) }),
        ...(ratio > 0 && planTokenMerging([h, w], ratio)),
      };
      const merged = countMergedTokens([h, w], ratio);
      for (const expected of run.outputs) {
        const tilings = tiles.drawUnet(network.tiledLayers, { height: h, width: w, merged, isXl });
        const cut = tileFeed(network.tiledLayers, tilings);
        const { out } = await network.run({ ...feeds, ...cut }, ['out']);
        const values = kept(out?.data as Float32Array, KEEP_UNET);
        expect(relativeError(values, expected)).toBeLessThan(TOLERANCE);
      }
      // The case says something only if the whole picture at once gives another result.
      const whole = tileFeed(
        network.tiledLayers,
        network.tiledLayers.map(() => null),
      );
      const { out } = await network.run({ ...feeds, ...whole }, ['out']);
      const plain = kept(out?.data as Float32Array, KEEP_UNET);
      const distances = run.outputs.map((expected) => relativeError(plain, expected));
      expect(Math.max(...distances)).toBeGreaterThan(TOLERANCE);
    },
  );
});

describe('the decoder in tiles', () => {
  it.each(recorded.vae)('$width x $height, sizes to choose from: $swapSize', async (run) => {
    const { width, height, seed, maxTile, swapSize } = run;
    const { network, config } = await open('sd15', 'decoder');
    const unet = { ...NO_TILES, inSecondPass: false };
    const vae = { isEnabled: true, maxDepth: 3, maxTile, swapSize };
    const tiles = new HyperTile({ unet, vae }, seed, { width, height });
    const [h, w] = [height / 8, width / 8];
    const latent = drawn([1, config.vae?.zChannels ?? 0, h, w], seed);
    for (const expected of run.outputs) {
      const cut = pictureTileFeed(tiles.drawDecoder(h, w));
      const { pixels } = await network.run({ latent, ...cut }, ['pixels']);
      const values = kept(pixels?.data as Float32Array, KEEP_VAE);
      expect(relativeError(values, expected)).toBeLessThan(TOLERANCE);
    }
  });
});
