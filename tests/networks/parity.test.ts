/** Each network against diffusers and transformers in f32 on the same tiny checkpoints. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelConfig } from '../../networks/checkpoint/config.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { readHeader, type SafetensorsFile } from '../../networks/checkpoint/safetensors.ts';
import type { Graph, WeightFile } from '../../networks/onnx/graph.ts';
import { createNetwork, type Network, type Outputs } from '../../networks/session.ts';
import { writeTextEncoder } from '../../networks/text-encoder.ts';
import { writeUnet } from '../../networks/unet.ts';
import { writeVaeDecoder, writeVaeEncoder } from '../../networks/vae.ts';
import {
  type CheckpointFixture,
  fixtureCheckpoint,
  fixtureNames,
  fixtureTensor,
  fixtureTokens,
  type RecordedFile,
  relativeError,
} from './fixture.ts';

const TOLERANCE = 1e-4;

const KINDS = [
  'sd15',
  'sd15-inpainting',
  'sd2',
  'sdxl',
  'refiner',
] as const satisfies (CheckpointFixture & RecordedFile)[];

function values(outputs: Outputs, name: string): Float32Array {
  return outputs[name]?.data as Float32Array;
}

describe.each(KINDS)('networks of tiny %s', (kind) => {
  let file: SafetensorsFile;
  let config: ModelConfig;
  const made: Network[] = [];
  const names = new Set(fixtureNames(kind));

  async function network(
    write: (weights: WeightFile) => Graph,
    keepsHalf = false,
  ): Promise<Network> {
    const weights = { location: file.path.split(/[\\/]/).at(-1) as string, tensors: file.tensors };
    const options = { device: 'cpu', threads: 2, keepsHalf } as const;
    const one = await createNetwork(kind, write(weights), file.path, options);
    made.push(one);
    return one;
  }

  beforeAll(async () => {
    file = await readHeader(fixtureCheckpoint(kind));
    config = detectCheckpoint(file);
  });
  afterAll(async () => {
    for (const one of made) await one.release();
  });

  describe.each([false, true])('the UNet, half-precision weights kept: %s', (keepsHalf) => {
    const f32 = (name: string) => {
      const { data, shape } = fixtureTensor(kind, name);
      return { type: 'float32' as const, data, shape };
    };

    it.each([
      ['unet.latent', 'unet.output.0', 0],
      ['unet.latent', 'unet.output.1', 1],
      ['unet.latent', 'unet.output.2', 2],
      ['unet.odd.latent', 'unet.odd.output', 1],
    ])('%s gives %s', async (latent, output, at) => {
      const unet = await network((w) => writeUnet(w, config.unet), keepsHalf);
      const timestep = fixtureTensor(kind, 'unet.timesteps').data[at] as number;
      const feeds = {
        sample: f32(latent),
        timesteps: {
          type: 'float32' as const,
          data: new Float32Array(2).fill(timestep),
          shape: [2],
        },
        context: f32('unet.context'),
        ...(names.has('unet.label') ? { y: f32('unet.label') } : {}),
      };
      const { data, shape } = fixtureTensor(kind, output);
      const result = await unet.run(feeds, ['out']);
      expect(result.out?.shape).toEqual(shape);
      expect(relativeError(values(result, 'out'), data)).toBeLessThan(TOLERANCE);
    });
  });

  if (names.has('vae.decoded'))
    it('the VAE decoder', async () => {
      const decoder = await network((w) =>
        writeVaeDecoder(w, config.vae as NonNullable<typeof config.vae>),
      );
      const latent = fixtureTensor(kind, 'vae.latent');
      const scale = config.vae?.scaleFactor as number;
      const scaled = latent.data.map((x) => x * scale);
      const feeds = { latent: { type: 'float32' as const, data: scaled, shape: latent.shape } };
      const result = await decoder.run(feeds, ['pixels', 'rgb', 'sum']);
      const expected = fixtureTensor(kind, 'vae.decoded');
      expect(relativeError(values(result, 'pixels'), expected.data)).toBeLessThan(TOLERANCE);
      expect(result.rgb?.shape).toEqual([1, 64, 48, 3]);
      // The web UI truncates: a value may fall on either side of a step, so one level is allowed.
      const plane = 64 * 48;
      const rgb = Float32Array.from({ length: 3 * plane }, (_, i) => {
        const pixel = (expected.data[(i % 3) * plane + Math.floor(i / 3)] as number) / 2 + 0.5;
        return Math.floor(255 * Math.min(1, Math.max(0, pixel)));
      });
      const off = rgb.map((x, i) => Math.abs(x - (result.rgb?.data[i] as number)));
      expect(Math.max(...off)).toBeLessThanOrEqual(1);
      expect(off.filter((x) => x > 0).length).toBeLessThan(rgb.length / 100);
      expect(Number.isFinite(values(result, 'sum')[0])).toBe(true);
    });

  if (names.has('vae.mean'))
    it('the VAE encoder', async () => {
      const encoder = await network((w) =>
        writeVaeEncoder(w, config.vae as NonNullable<typeof config.vae>),
      );
      const { data, shape } = fixtureTensor(kind, 'vae.pixels');
      const result = await encoder.run({ pixels: { type: 'float32', data, shape } }, [
        'mean',
        'std',
      ]);
      const scale = config.vae?.scaleFactor as number;
      const mean = fixtureTensor(kind, 'vae.mean').data.map((x) => x * scale);
      const std = fixtureTensor(kind, 'vae.logvar').data.map((x) => Math.exp(x / 2) * scale);
      expect(relativeError(values(result, 'mean'), mean)).toBeLessThan(TOLERANCE);
      expect(relativeError(values(result, 'std'), std)).toBeLessThan(TOLERANCE);
    });

  it.each([
    ['clip', 'clip-hf'],
    ['open_clip', 'open-clip'],
  ])('the %s text encoder, every layer', async (name, layout) => {
    const encoder = config.textEncoders.find((one) => one.kind === layout);
    if (!names.has(`${name}.tokens`))
      return expect(encoder && names.has('clip.tokens')).toBeFalsy();
    const text = encoder as NonNullable<typeof encoder>;
    const net = await network((w) => writeTextEncoder(w, text), true);
    const rows = fixtureTokens(kind, `${name}.tokens`);
    const feeds = {
      tokens: {
        type: 'int64' as const,
        data: BigInt64Array.from(rows.flat(), BigInt),
        shape: [rows.length, text.tokens],
      },
      override: {
        type: 'float32' as const,
        data: new Float32Array(text.width),
        shape: [1, 1, text.width],
      },
      is_overridden: { type: 'bool' as const, data: new Uint8Array(1), shape: [1, 1, 1] },
    };
    const layers = Array.from({ length: text.layers + 1 }, (_, k) => `hidden.${k}`);
    const last = `normed.${text.layers}`;
    const penultimate = text.layers - 1;
    const wanted = [...layers, last, `normed.${penultimate}`, 'pooled'];
    const result = await net.run(feeds, wanted);
    const expected: Record<string, string> = {
      final: last,
      penultimate: `hidden.${penultimate}`,
      penultimateFinal: `normed.${penultimate}`,
      pooled: 'pooled',
    };
    for (const [recorded, output] of Object.entries(expected)) {
      if (!names.has(`${name}.${recorded}`)) continue;
      const { data } = fixtureTensor(kind, `${name}.${recorded}`);
      expect(relativeError(values(result, output), data), recorded).toBeLessThan(TOLERANCE);
    }
    // Per layer and chunk: mean, standard deviation, the last token's first eight values.
    const summary = fixtureTensor(kind, `${name}.hidden`);
    layers.forEach((layer, k) => {
      const all = values(result, layer);
      const size = all.length / rows.length;
      const actual = rows.flatMap((_, chunk) => {
        const part = all.subarray(chunk * size, (chunk + 1) * size);
        const mean = part.reduce((a, b) => a + b, 0) / size;
        const variance = part.reduce((a, b) => a + (b - mean) ** 2, 0) / (size - 1);
        return [mean, Math.sqrt(variance), ...part.subarray(size - text.width).subarray(0, 8)];
      });
      const want = summary.data.subarray(k * actual.length, (k + 1) * actual.length);
      expect(relativeError(actual, want), layer).toBeLessThan(TOLERANCE);
    });
  });
});
