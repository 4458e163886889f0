import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Float16Array } from '@petamoriken/float16';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeWeight, normalTable, WeightRandom } from '../../benchmarks/checkpoints/random.ts';
import { countElements } from '../../benchmarks/checkpoints/tensors.ts';
import { listTensors, makeCheckpoint } from '../../benchmarks/make-checkpoint.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { type CheckpointFixture, fixtureCheckpoint } from '../networks/fixture.ts';

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-maker-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const hashFile = (file: string) =>
  createHash('sha256').update(fs.readFileSync(file)).digest('hex').slice(0, 16);

describe('the bytes of the tiny checkpoints', () => {
  // A change here means that tests/fixtures/networks has to be recorded again.
  const EXPECTED: Record<CheckpointFixture, string> = {
    sd15: 'be76609dab4f2495',
    'sd15-inpainting': '769af71c5b28f12c',
    sd2: 'e47a051ba283d40d',
    sdxl: '56ff62c1d1a38290',
    'sdxl-v': '780c1ee27c841685',
    refiner: '3f438325f7e844c7',
  };
  for (const [name, hash] of Object.entries(EXPECTED)) {
    it(`${name} is what the reference outputs were recorded from`, async () => {
      const file = fixtureCheckpoint(name as CheckpointFixture);
      expect(hashFile(file)).toBe(hash);
      const header = await readHeader(file);
      expect(header.tensors.size).toBeGreaterThan(900);
    });
  }

  it('depend on the seed', () => {
    const make = (seed: number) => {
      const out = path.join(folder, `seed-${seed}.safetensors`);
      makeCheckpoint({ arch: 'tiny-sd15', only: 'vae', out, seed });
      return out;
    };
    expect(hashFile(make(1))).not.toBe(hashFile(make(2)));
  });
});

describe('full-size architectures', () => {
  // Parameter counts of the published models.
  const COUNTS: [string, string, number][] = [
    ['sd15', 'model.diffusion_model.', 859_520_964],
    ['sd15', 'first_stage_model.', 83_653_863],
    ['sd15', 'cond_stage_model.', 123_060_480],
    ['sd2', 'model.diffusion_model.', 865_910_724],
    ['sd2', 'cond_stage_model.', 354_032_641],
    ['sdxl', 'model.diffusion_model.', 2_567_463_684],
    ['sdxl', 'conditioner.embedders.0.', 123_060_480],
    ['sdxl', 'conditioner.embedders.1.', 694_659_841],
  ];
  it.each(COUNTS)('%s has the published number of parameters under %s', (arch, prefix, count) => {
    const total = listTensors({ arch })
      .filter(({ key }) => key.startsWith(prefix) && !key.endsWith('position_ids'))
      .reduce((sum, { shape }) => sum + countElements(shape), 0);
    expect(total).toBe(count);
  });

  it('list as many tensors as the published SDXL base file has', () => {
    expect(listTensors({ arch: 'sdxl' })).toHaveLength(2515);
  });

  it('refuse an unknown name with the list of names', () => {
    expect(() => listTensors({ arch: 'sd3' })).toThrow(
      /^Expected one of sd15, .* for arch but received sd3 of type string\.$/,
    );
  });
});

describe('options', () => {
  const keys = (options: Parameters<typeof listTensors>[0]) =>
    new Map(listTensors(options).map(({ key, shape }) => [key, shape]));

  it('widen the first convolution', () => {
    const shape = keys({ arch: 'tiny-sd15', inChannels: 9 }).get(
      'model.diffusion_model.input_blocks.0.0.weight',
    );
    expect(shape).toEqual([32, 9, 3, 3]);
  });

  it('leave the VAE out, or write it alone and unprefixed', () => {
    const without = [...keys({ arch: 'tiny-sdxl', vae: false }).keys()];
    expect(without.some((key) => key.startsWith('first_stage_model.'))).toBe(false);
    const alone = [...keys({ arch: 'tiny-sdxl', only: 'vae' }).keys()];
    expect(alone.every((key) => /^(encoder|decoder|quant_conv|post_quant_conv)\./.test(key))).toBe(
      true,
    );
  });

  it('add empty marker tensors, which the strict reader takes', async () => {
    const out = path.join(folder, 'markers.safetensors');
    makeCheckpoint({ arch: 'tiny-sd2', out, vPred: true, ztsnr: true, vae: false, textLayers: 1 });
    const { tensors } = await readHeader(out);
    expect(tensors.get('v_pred')?.shape).toEqual([0]);
    expect(tensors.get('ztsnr')?.shape).toEqual([0]);
    expect(tensors.has('cond_stage_model.model.transformer.resblocks.1.ln_1.weight')).toBe(false);
  });

  it('name LoRA layers as kohya does', () => {
    const sd1 = keys({ arch: 'sd15', lora: { rank: 4 } });
    expect(
      sd1.get('lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_ff_net_2.lora_down.weight'),
    ).toEqual([4, 1280]);
    expect(sd1.get('lora_unet_mid_block_attentions_0_proj_in.lora_up.weight')).toEqual([
      1280, 4, 1, 1,
    ]);
    const sdxl = keys({ arch: 'sdxl', lora: {} });
    expect(
      sdxl.has('lora_unet_middle_block_1_transformer_blocks_9_attn2_to_k.lora_down.weight'),
    ).toBe(true);
    expect(sdxl.has('lora_te2_text_model_encoder_layers_31_mlp_fc2.alpha')).toBe(true);
  });

  it('leave no part file behind when writing fails', () => {
    expect(() =>
      makeCheckpoint({ arch: 'tiny-sd15', only: 'vae', out: path.join(folder, 'a\0b') }),
    ).toThrow();
    expect(fs.readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });
});

describe('random weights', () => {
  it('round to float16 as the float16 package does', () => {
    fc.assert(
      fc.property(fc.float({ min: -60000, max: 60000, noNaN: true }), (value) => {
        const bits = new Uint16Array(Float16Array.of(value).buffer)[0];
        expect(encodeWeight('F16', value)).toBe(bits);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    [1.00390625, 0x3f80],
    [1.01171875, 0x3f82],
    [-2.5, 0xc020],
  ])('round %d to bfloat16, ties to even', (value, bits) => {
    expect(encodeWeight('BF16', value)).toBe(bits);
  });

  it('are the same however a tensor is cut into pieces', () => {
    const table = normalTable('F16', 0, 1);
    const whole = new Uint16Array(1001);
    new WeightRandom('key', 7).fill(whole, table);
    const parts = new Uint16Array(1001);
    const random = new WeightRandom('key', 7);
    random.fill(parts.subarray(0, 10), table);
    random.fill(parts.subarray(10, 702), table);
    random.fill(parts.subarray(702), table);
    expect(parts).toEqual(whole);
  });

  it('have the mean and the deviation asked for', () => {
    const values = new Float32Array(normalTable('F32', 3, 0.5).buffer);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(mean).toBeCloseTo(3, 5);
    expect(Math.sqrt(variance)).toBeCloseTo(0.5, 3);
  });
});
