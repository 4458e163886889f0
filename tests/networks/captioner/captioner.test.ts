import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { BICUBIC, resample } from '../../../images/resample.ts';
import { findCaptioner } from '../../../networks/captioner/catalogue.ts';
import { detectCaptioner } from '../../../networks/captioner/detect.ts';
import { writeCaptionerText, writeCaptionerVision } from '../../../networks/captioner/graph.ts';
import { readHeader } from '../../../networks/checkpoint/safetensors.ts';
import { createNetwork } from '../../../networks/session.ts';
import { type SmallTensor, writeTensorFile } from '../../lora/write-tensors.ts';
import { relativeError } from '../fixture.ts';
import { CAPTIONER, recordedFloats, recordedTensor } from './fixture.ts';

const TOLERANCE = 1e-5;

const folder = mkdtempSync(path.join(tmpdir(), 'sdserve-captioner-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('a tiny captioning model', () => {
  it('is told by its tensors', async () => {
    expect(detectCaptioner(await readHeader(CAPTIONER))).toMatchObject({
      vision: { width: 128, layers: 2, heads: 2, side: 32 },
      text: { width: 64, layers: 2, heads: 1, tokens: 48, positions: 64 },
    });
  });

  it('sees and says what transformers does', async () => {
    const file = await readHeader(CAPTIONER);
    const config = detectCaptioner(file);
    const weights = { location: path.basename(file.path), tensors: file.tensors };
    const open = (graph: Parameters<typeof createNetwork>[1]) =>
      createNetwork('captioner', graph, file.path, { device: 'cpu', threads: 1 });
    const vision = await open(writeCaptionerVision(weights, config));
    const { shape, bytes } = await recordedTensor('picture');
    const [height = 0, width = 0] = shape;
    const { side } = config.vision;
    const { data } = resample({ width, height, channels: 3, data: bytes }, side, side, BICUBIC);
    const names = ['states', 'key.0', 'value.0', 'key.1', 'value.1'];
    const image = { type: 'uint8' as const, data, shape: [1, side, side, 3] };
    const seen = await vision.run({ image }, names);
    await vision.release();
    expect(relativeError(seen.states?.data ?? [], await recordedFloats('states'))).toBeLessThan(
      TOLERANCE,
    );

    const text = await open(writeCaptionerText(weights, config));
    const probe = new Int32Array((await recordedTensor('probe')).bytes.buffer);
    const n = probe.length;
    const feed = (name: string) => ({
      type: 'float32' as const,
      data: seen[name]?.data as Float32Array,
      shape: seen[name]?.shape ?? [],
    });
    const { logits } = await text.run(
      {
        tokens: { type: 'int64', data: BigInt64Array.from([...probe], BigInt), shape: [n] },
        positions: {
          type: 'int64',
          data: BigInt64Array.from([...probe].map((_, i) => BigInt(i))),
          shape: [n],
        },
        mask: {
          type: 'float32',
          data: Float32Array.from({ length: n * n }, (_, i) =>
            i % n > Math.floor(i / n) ? -1e9 : 0,
          ),
          shape: [1, 1, n, n],
        },
        ...Object.fromEntries(names.slice(1).map((name) => [name, feed(name)])),
      },
      ['logits'],
    );
    await text.release();
    expect(relativeError(logits?.data ?? [], await recordedFloats('logits'))).toBeLessThan(
      TOLERANCE,
    );
  });
});

type Tensors = Record<string, SmallTensor>;

async function detectChanged(change: (tensors: Tensors) => void): Promise<unknown> {
  const { tensors } = await readHeader(CAPTIONER);
  const changed: Tensors = Object.fromEntries(
    [...tensors.values()].map((info) => [info.name, { shape: info.shape }]),
  );
  change(changed);
  const file = path.join(folder, 'changed.safetensors');
  writeTensorFile(file, changed);
  const read = await readHeader(file);
  try {
    return detectCaptioner(read);
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

describe('a file', () => {
  const layer = 'text_decoder.bert.encoder.layer.1';

  it('with a head of its own uses that', async () => {
    const config = await detectChanged((tensors) => {
      tensors['text_decoder.cls.predictions.decoder.weight'] = { shape: [48, 64] };
      tensors['text_decoder.cls.predictions.decoder.bias'] = { shape: [48] };
    });
    expect(config).toMatchObject({
      text: {
        head: 'text_decoder.cls.predictions.decoder.weight',
        headBias: 'text_decoder.cls.predictions.decoder.bias',
      },
    });
  });

  it.each<[string, (tensors: Tensors) => void, string]>([
    [
      'that is no captioning model',
      (tensors) => {
        delete tensors['vision_model.embeddings.patch_embedding.weight'];
      },
      'NOT_A_CAPTIONER',
    ],
    [
      'without a layer’s cross-attention',
      (tensors) => {
        delete tensors[`${layer}.crossattention.self.key.weight`];
      },
      'CAPTIONER_INCOMPLETE',
    ],
    [
      'without a whole layer in the middle',
      (tensors) => {
        for (const name of Object.keys(tensors))
          if (name.startsWith('vision_model.encoder.layers.0.')) delete tensors[name];
      },
      'CAPTIONER_INCOMPLETE',
    ],
    [
      'whose patches are no square',
      (tensors) => {
        tensors['vision_model.embeddings.position_embedding'] = { shape: [1, 16, 128] };
      },
      'SHAPE_CONTRADICTION',
    ],
    [
      'whose decoder sees another width',
      (tensors) => {
        tensors[`${layer}.crossattention.self.key.weight`] = { shape: [64, 64] };
      },
      'SHAPE_CONTRADICTION',
    ],
  ])('%s is refused', async (_, change, code) => {
    expect(await detectChanged(change)).toBe(code);
  });
});

describe('the folder', () => {
  const at = (...names: string[]) => path.join(folder, 'models', ...names);

  it('says what to put where, until it is there', async () => {
    expect(await findCaptioner(at('BLIP'))).toMatch(
      /no captioning model in the folder BLIP.*vocab/,
    );
    mkdirSync(at('BLIP', 'base'), { recursive: true });
    writeFileSync(at('BLIP', 'a.pth'), '');
    expect(await findCaptioner(at('BLIP'))).toMatch(/a\.pth is a pickle/);
    writeFileSync(at('BLIP', 'base', 'model.safetensors'), '');
    expect(await findCaptioner(at('BLIP'))).toMatch(/has no vocab\.txt beside it/);
    // Where the server keeps its files is nobody's business.
    expect(await findCaptioner(at('BLIP'))).not.toContain(folder);
    writeFileSync(at('BLIP', 'base', 'vocab.txt'), '');
    expect(await findCaptioner(at('BLIP'))).toMatchObject({
      vocabulary: at('BLIP', 'base', 'vocab.txt'),
    });
  });
});
