/** Whole checkpoints: modules that are merged, and modules with derived factors, end to end. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoraFeed, LoraFeeds } from '../../lora/compose.ts';
import { sortModules } from '../../lora/file.ts';
import { listLayers, type ModelLayers } from '../../lora/layers.ts';
import { MergeError, mergeModule, mergeTensors, readParts, scaleOf } from '../../lora/merge.ts';
import { planLoras } from '../../lora/plan.ts';
import { LoraStore } from '../../lora/store.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import {
  getTensor,
  readFloat32,
  readHeader,
  type SafetensorsFile,
} from '../../networks/checkpoint/safetensors.ts';
import { fixtureCheckpoint, relativeError } from '../networks/fixture.ts';
import { feedProduct } from './feed-product.ts';
import { type SmallTensor, writeTensorFile } from './write-tensors.ts';

const UNET = 'model.diffusion_model.';
const OPEN_CLIP = 'conditioner.embedders.1.model.';
const TO_Q = 'input_blocks.4.1.transformer_blocks.0.attn1.to_q';
const MODULE = `lora_unet_${TO_Q.replaceAll('.', '_')}`;
const WIDTH = 64;

let folder: string;
let checkpoint: SafetensorsFile;
let model: ModelLayers;
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-merge-'));
  checkpoint = await readHeader(fixtureCheckpoint('sdxl'));
  model = listLayers(checkpoint.tensors, detectCheckpoint(checkpoint));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

let count = 0;
const put = (tensors: Record<string, SmallTensor>) =>
  writeTensorFile(path.join(folder, `${count++}.safetensors`), tensors);
const weightOf = (name: string) => readFloat32(checkpoint, getTensor(checkpoint, name)).slice();

async function plan(tensors: Record<string, SmallTensor>, weight: number, canMerge = true) {
  const ref = { name: 'x', path: put(tensors), hash: null };
  const request = { name: 'x', te: weight, unet: weight, dyn: null };
  return planLoras([request], () => ref, model, new LoraStore(), { canMerge });
}

describe('mergeTensors', () => {
  it('replaces a weight and its bias, and nothing else', async () => {
    const layer = TO_Q.replace('to_q', 'to_out.0');
    const module = MODULE.replace('to_q', 'to_out_0');
    const made = await plan(
      {
        [`${module}.diff`]: { shape: [WIDTH, WIDTH] },
        [`${module}.diff_b`]: { shape: [WIDTH] },
      },
      2,
    );
    expect(made.messages).toEqual([]);
    expect(made.feeds(UNET)).toBeUndefined();
    const merged = await mergeTensors(checkpoint, made.merges(UNET));
    const names = ['weight', 'bias'].map((part) => `${UNET}${layer}.${part}`);
    expect([...merged.keys()]).toEqual(names);
    for (const name of names) {
      const wanted = weightOf(name).map((x, i) => x + (2 * ((i % 7) + 1)) / 128);
      expect(relativeError(merged.get(name)?.data ?? [], wanted)).toBeLessThan(1e-6);
      expect(merged.get(name)?.shape).toEqual(getTensor(checkpoint, name).shape);
    }
    expect(made.merges(UNET, [0])).toEqual([]);
  });

  it('writes into the rows of a fused projection', async () => {
    const made = await plan(
      { 'lora_te2_text_model_encoder_layers_1_self_attn_k_proj.diff': { shape: [64, 64] } },
      -1,
    );
    const name = `${OPEN_CLIP}transformer.resblocks.1.attn.in_proj_weight`;
    const merged = await mergeTensors(checkpoint, made.merges(OPEN_CLIP));
    const before = weightOf(name);
    const after = merged.get(name)?.data ?? new Float32Array();
    const rows = 64 * 64;
    expect(after.subarray(0, rows)).toEqual(before.subarray(0, rows));
    expect(after.subarray(2 * rows)).toEqual(before.subarray(2 * rows));
    expect(after[rows]).toBeCloseTo((before[rows] as number) - 1 / 128, 6);
  });

  it.each<[string, Record<string, SmallTensor>]>([
    ['a full difference', { diff: { shape: [32, 4, 3, 3] } }],
    [
      'a DoRA',
      {
        'lora_down.weight': { shape: [2, 4, 3, 3] },
        'lora_up.weight': { shape: [32, 2, 1, 1] },
        dora_scale: { shape: [32, 1, 1, 1] },
      },
    ],
    [
      'a large LoHa',
      {
        hada_w1_a: { shape: [32, 12] },
        hada_w1_b: { shape: [12, 36] },
        hada_w2_a: { shape: [32, 12] },
        hada_w2_b: { shape: [12, 36] },
      },
    ],
  ])(
    '%s of the first convolution changes the latent channels of an inpainting UNet',
    async (_, parts) => {
      const name = `${UNET}input_blocks.0.0.weight`;
      const file = put(
        Object.fromEntries(
          Object.entries(parts).map(([part, tensor]) => [`lora_unet_conv_in.${part}`, tensor]),
        ),
      );
      const request = { name: 'x', te: 1, unet: 2, dyn: null };
      const own = await readHeader(fixtureCheckpoint('sd15-inpainting'));
      const layers = listLayers(own.tensors, detectCheckpoint(own));
      const ref = { name: 'x', path: file, hash: null };
      const options = { canMerge: true };
      const made = await planLoras([request], () => ref, layers, new LoraStore(), options);
      expect(made.messages).toEqual([]);
      expect(made.merges(UNET)).toHaveLength(1);
      const before = readFloat32(own, getTensor(own, name)).slice();
      const after = (await mergeTensors(own, made.merges(UNET))).get(name)?.data ?? [];
      expect(after).toHaveLength(32 * 9 * 9);
      // The same convolution of 4 channels, merged by itself.
      const narrow = Float32Array.from({ length: 32 * 36 }, (_, i) => {
        return before[Math.floor(i / 36) * 81 + (i % 36)] as number;
      });
      const lora = sortModules(await readHeader(file));
      const module = lora.modules[0] as (typeof lora.modules)[0];
      const tensors = readParts(lora, module);
      const scale = scaleOf(lora, module, tensors);
      const weight = { data: narrow, shape: [32, 4, 3, 3] };
      const wanted = mergeModule(module.kind, weight, null, tensors, {
        scale,
        multiplier: 2,
      }).weight;
      const rest = before.map((x, i) => {
        const column = i % 81;
        return column < 36 ? (wanted[Math.floor(i / 81) * 36 + column] as number) : x;
      });
      expect(after).toEqual(rest);
      expect(after).not.toEqual(before);
    },
  );

  it('a module whose shapes do not fit is refused before anything is merged', async () => {
    const made = await plan({ [`${MODULE}.diff`]: { shape: [WIDTH, 2 * WIDTH] } }, 1);
    expect(made.messages).toEqual([
      expect.stringMatching(/64x128 but the checkpoint's layer 64x64/),
    ]);
    expect(made.merges(UNET)).toEqual([]);
    const scaled = await plan({ [`${MODULE}.weight`]: { shape: [3] } }, 1);
    expect(scaled.messages).toEqual([expect.stringMatching(/is 3 but/)]);
    // What no shape tells is found out when it is merged.
    const turned = await plan({ [`${MODULE}.oft_blocks`]: { shape: [16, 2, 4] } }, 1);
    await expect(mergeTensors(checkpoint, turned.merges(UNET))).rejects.toThrow(MergeError);
  });
});

describe('damaged files of kinds that are merged', () => {
  it('500 of them: a sentence each or sound weights, never another exception', async () => {
    const layer = (part: string) => MODULE.replace('to_q', part);
    const bytes = fs.readFileSync(
      put({
        [`${layer('to_q')}.oft_blocks`]: { shape: [16, 4, 4] },
        [`${layer('to_out_0').replace('attn1', 'attn2')}.boft_R`]: { shape: [2, 16, 4, 4] },
        [`${layer('to_out_0').replace('attn1', 'attn2')}.boft_s`]: { shape: [WIDTH, 1] },
        [`${layer('to_k')}.lora_down.weight`]: { shape: [2, WIDTH] },
        [`${layer('to_k')}.lora_up.weight`]: { shape: [WIDTH, 2] },
        [`${layer('to_k')}.dora_scale`]: { shape: [1, WIDTH] },
        [`${layer('to_v')}.weight`]: { shape: [WIDTH] },
        [`${layer('to_v')}.on_input`]: { shape: [] },
        [`${layer('to_out_0')}.diff`]: { shape: [WIDTH, WIDTH] },
        [`${layer('to_out_0')}.diff_b`]: { shape: [WIDTH] },
      }),
    );
    const headerEnd = 8 + Number(bytes.readBigUInt64LE());
    const file = path.join(folder, 'damaged.safetensors');
    const store = new LoraStore();
    const ref = { name: 'x', path: file, hash: null };
    const request = { name: 'x', te: 1, unet: 1, dyn: null };
    // Most of the file is numbers, which may be anything: half of the edits hit the header.
    const at = fc.oneof(fc.nat(headerEnd - 1), fc.nat(bytes.length - 1));
    const edit = fc.record({ at, to: fc.nat(255) });
    let applied = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
        const damaged = Buffer.from(bytes);
        for (const { at, to } of edits) damaged[at] = to;
        fs.writeFileSync(`${file}.part`, damaged);
        fs.renameSync(`${file}.part`, file);
        const made = await planLoras([request], () => ref, model, store, { canMerge: true });
        if (made.applied.length === 0) {
          expect(made.messages).toHaveLength(1);
          return;
        }
        const merged = await mergeTensors(checkpoint, made.merges(UNET)).catch((error: unknown) => {
          expect(error).toBeInstanceOf(MergeError);
          return null;
        });
        if (merged) applied++;
        for (const [name, { data }] of merged ?? [])
          expect(data).toHaveLength(weightOf(name).length);
      }),
      { numRuns: 500 },
    );
    expect(applied).toBeGreaterThan(20);
  });
});

describe('derived factors', () => {
  const loha = (rank: number): Record<string, SmallTensor> => ({
    [`${MODULE}.hada_w1_a`]: { shape: [WIDTH, rank] },
    [`${MODULE}.hada_w1_b`]: { shape: [rank, WIDTH] },
    [`${MODULE}.hada_w2_a`]: { shape: [WIDTH, rank] },
    [`${MODULE}.hada_w2_b`]: { shape: [rank, WIDTH] },
    [`${MODULE}.alpha`]: { shape: [], values: [rank / 2] },
  });

  it('a LoHa is fed, and gives what merging it would give', async () => {
    const fed = await plan(loha(4), 1.5, false);
    expect(fed.messages).toEqual([]);
    const feed = (fed.feeds(UNET) as LoraFeeds).get(TO_Q) as LoraFeed;
    expect(feed.rank).toBe(16);
    const change = Float32Array.from(feedProduct(feed));
    // (Σ_r a·b)² of the test's own numbers, half of it for alpha / rank.
    const value = (i: number) => ((i % 7) + 1) / 128;
    const wanted = change.map((_, at) => {
      const [o, c] = [Math.floor(at / WIDTH), at % WIDTH];
      const sum = [0, 1, 2, 3].reduce((s, r) => s + value(o * 4 + r) * value(r * WIDTH + c), 0);
      return 1.5 * 0.5 * sum ** 2;
    });
    expect(relativeError(change, wanted)).toBeLessThan(1e-5);
  });

  it('one of a high rank has to be merged', async () => {
    expect((await plan(loha(12), 1, false)).messages).toEqual([expect.stringMatching(/kind loha/)]);
    expect((await plan(loha(12), 1)).merges(UNET)).toHaveLength(1);
  });
});
