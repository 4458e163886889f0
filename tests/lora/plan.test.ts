import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoraFeed, LoraFeeds } from '../../lora/compose.ts';
import type { Layer, ModelLayers } from '../../lora/layers.ts';
import { listLayers } from '../../lora/layers.ts';
import { mergeTensors } from '../../lora/merge.ts';
import { planLoras } from '../../lora/plan.ts';
import { LoraStore } from '../../lora/store.ts';
import type { LoraRequest } from '../../lora/tags.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { decodeHalf } from '../../networks/checkpoint/half.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { fixtureCheckpoint, makeCached } from '../networks/fixture.ts';
import { feedProduct } from './feed-product.ts';
import { type SmallTensor, writeTensorFile } from './write-tensors.ts';

const UNET = 'model.diffusion_model.';
const TEXT = 'cond_stage_model.transformer.text_model.';
const TO_Q = 'input_blocks.1.1.transformer_blocks.0.attn1.to_q';
const MODULE = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q';

let folder: string;
let model: ModelLayers;
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-plan-'));
  const file = await readHeader(fixtureCheckpoint('sd15'));
  model = listLayers(file.tensors, detectCheckpoint(file));
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const layer = (name: string): Layer => model[0]?.layers.get(name) as Layer;
const ref = (file: string) => ({ name: path.basename(file), path: file, hash: 'abc' });
const ask = (name: string, unet: number, rest: Partial<LoraRequest> = {}): LoraRequest => ({
  ...{ name, te: unet, unet, dyn: null },
  ...rest,
});

let count = 0;
const put = (tensors: Record<string, SmallTensor>, metadata?: Record<string, string>) =>
  writeTensorFile(path.join(folder, `${count++}.safetensors`), tensors, metadata);
const pair = (module: string, rank = 2, out = 32, inner = 32): Record<string, SmallTensor> => ({
  [`${module}.lora_down.weight`]: { shape: [rank, inner] },
  [`${module}.lora_up.weight`]: { shape: [out, rank] },
});

async function plan(file: string, weight = 1, rest: Partial<LoraRequest> = {}) {
  return planLoras([ask('x', weight, rest)], () => ref(file), model, new LoraStore());
}

const near = (actual: number[], expected: number[]) => {
  expect(actual).toHaveLength(expected.length);
  for (const [i, x] of actual.entries()) expect(x).toBeCloseTo(expected[i] as number, 5);
};

describe('what is applied', () => {
  it('alpha / rank and the weight, in the UNet; te weight 0 feeds no text encoder', async () => {
    const text = pair('lora_te_text_model_encoder_layers_0_mlp_fc1', 2, 256, 64);
    const file = put({ ...pair(MODULE), ...text, [`${MODULE}.alpha`]: { shape: [], values: [1] } });
    const full = await plan(file, 1, { te: 0 });
    const twice = await plan(file, 2);
    expect(full.messages).toEqual([]);
    expect(full.feeds(TEXT)).toBeUndefined();
    expect(twice.feeds(TEXT)?.size).toBe(1);
    const one = feedProduct(full.feeds(UNET)?.get(TO_Q));
    const row = [(1 * 1 + 2 * 5) / 128 ** 2].map((x) => x / 2);
    expect(one[0]).toBeCloseTo(row[0] as number, 6);
    near(
      feedProduct(twice.feeds(UNET)?.get(TO_Q)),
      one.map((x) => 2 * x),
    );
    expect(full.applied).toEqual([
      { name: 'x', hash: 'abc', teWeight: 0, unetWeight: 1, dyn: null },
    ]);
  });

  it('`scale` wins over alpha; PEFT metadata says alpha where no tensor does', async () => {
    const plain = feedProduct((await plan(put(pair(MODULE)))).feeds(UNET)?.get(TO_Q));
    const scaled = put({
      ...pair(MODULE),
      [`${MODULE}.alpha`]: { shape: [], values: [8] },
      [`${MODULE}.scale`]: { shape: [], values: [3] },
    });
    near(
      feedProduct((await plan(scaled)).feeds(UNET)?.get(TO_Q)),
      plain.map((x) => 3 * x),
    );
    const dotted = 'unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
    const tensors = {
      [`${dotted}.lora_A.weight`]: { shape: [2, 32] },
      [`${dotted}.lora_B.weight`]: { shape: [32, 2] },
    };
    const text = JSON.stringify({ 'unet.r': 2, 'unet.lora_alpha': 8 });
    const peft = put(tensors, { lora_adapter_metadata: text });
    near(
      feedProduct((await plan(peft)).feeds(UNET)?.get(TO_Q)),
      plain.map((x) => 4 * x),
    );
  });

  it('the same LoRA twice counts twice with the last weight; others keep their own', async () => {
    const [a, b] = [put(pair(MODULE)), put(pair(MODULE, 3))];
    const store = new LoraStore();
    const find = (name: string) => ref(name === 'b' ? b : a);
    const requests = [ask('a', 5), ask('b', 0.5), ask('alias', 2)];
    const made = await planLoras(requests, find, model, store);
    expect(made.applied.map(({ unetWeight }) => unetWeight)).toEqual([2, 0.5, 2]);
    const [one, other] = [await plan(a), await plan(b)].map((p) =>
      feedProduct(p.feeds(UNET)?.get(TO_Q)),
    );
    const feed = made.feeds(UNET)?.get(TO_Q);
    expect(feed?.rank).toBe(7);
    near(
      feedProduct(feed),
      (one ?? []).map((x, i) => 4 * x + 0.5 * (other?.[i] as number)),
    );
  });

  it('other weights on the way, back again, bit for bit', async () => {
    const [a, b] = [put(pair(MODULE, 4)), put(pair(MODULE, 3))];
    const find = (name: string) => ref(name === 'b' ? b : a);
    const made = await planLoras([ask('a', 1.1), ask('b', 0.7)], find, model, new LoraStore());
    const copy = () => {
      const { down, up, scale } = (made.feeds(UNET) as LoraFeeds).get(TO_Q) as LoraFeed;
      return [[...down], [...up], [...scale]];
    };
    const before = copy();
    const other = made.feeds(UNET, [0, -3])?.get(TO_Q);
    expect(other?.rank).toBe(3);
    expect(made.feeds(UNET, [0, 0])).toBeUndefined();
    expect(copy()).toEqual(before);
  });

  it('a file is never written over: weight 1 after weight 8 is as before', async () => {
    const file = put(pair(MODULE));
    const store = new LoraStore();
    const feedAt = async (weight: number) => {
      const made = await planLoras([ask('x', weight)], () => ref(file), model, store);
      return feedProduct(made.feeds(UNET)?.get(TO_Q));
    };
    const first = await feedAt(1);
    near(
      await feedAt(8),
      first.map((x) => 8 * x),
    );
    expect(await feedAt(1)).toEqual(first);
  });

  it('dyn keeps the first ranks and the scale', async () => {
    const file = put({ ...pair(MODULE, 4), [`${MODULE}.alpha`]: { shape: [], values: [2] } });
    const feed = (await plan(file, 1, { dyn: 1 })).feeds(UNET)?.get(TO_Q);
    expect(feed?.rank).toBe(1);
    expect(feedProduct(feed)[0]).toBeCloseTo(1 / 128 ** 2 / 2, 7);
    expect((await plan(file, 1, { dyn: 9 })).feeds(UNET)?.get(TO_Q)?.rank).toBe(4);
    expect((await plan(file, 1, { dyn: 0 })).feeds(UNET)).toBeUndefined();
  });

  it('dyn counts the ranks of the file, not those that stand for one of f32', async () => {
    const thirds = Array.from({ length: 128 }, (_, i) => (i + 1) / 3);
    const file = put({
      [`${MODULE}.lora_down.weight`]: { shape: [4, 32], values: thirds },
      [`${MODULE}.lora_up.weight`]: { shape: [32, 4], values: thirds },
    });
    const feed = (await plan(file, 1, { dyn: 2 })).feeds(UNET)?.get(TO_Q);
    expect(feed?.rank).toBe(6);
    const wanted = (1 * 1 + 2 * 33) / 9;
    expect((feedProduct(feed)[0] as number) / wanted).toBeCloseTo(1, 6);
  });

  it('dyn cuts no core tensor, as in the web UI, and cuts a DoRA that is merged', async () => {
    const conv = 'lora_unet_down_blocks_0_resnets_0_conv1';
    const core = put({
      [`${conv}.lora_down.weight`]: { shape: [3, 32, 1, 1] },
      [`${conv}.lora_mid.weight`]: { shape: [3, 3, 3, 3] },
      [`${conv}.lora_up.weight`]: { shape: [32, 3, 1, 1] },
    });
    const { rank } = (await plan(core, 1, { dyn: 1 })).feeds(UNET)?.values().next().value ?? {};
    expect(rank).toBe(3);
    const scale = { [`${MODULE}.dora_scale`]: { shape: [32, 1] } };
    const alpha = { [`${MODULE}.alpha`]: { shape: [], values: [2] } };
    const dora = put({ ...pair(MODULE, 4), ...scale, ...alpha });
    const down = Array.from({ length: 32 }, (_, i) => ((i % 7) + 1) / 128);
    const up = Array.from({ length: 32 }, (_, i) => (((4 * i) % 7) + 1) / 128);
    // The first rank alone, at the scale of all four: alpha / 4 = 1/2.
    const first = put({
      [`${MODULE}.lora_down.weight`]: { shape: [1, 32], values: down },
      [`${MODULE}.lora_up.weight`]: { shape: [32, 1], values: up },
      [`${MODULE}.scale`]: { shape: [], values: [0.5] },
      ...scale,
    });
    const merge = async (file: string, request: Partial<LoraRequest>) => {
      const requests = [{ ...ask('x', 1), ...request }];
      const options = { canMerge: true };
      const made = await planLoras(requests, () => ref(file), model, new LoraStore(), options);
      expect(made.messages).toEqual([]);
      const checkpoint = await readHeader(fixtureCheckpoint('sd15'));
      const [merged] = (await mergeTensors(checkpoint, made.merges(UNET))).values();
      return [...(merged?.data ?? [])];
    };
    near(await merge(dora, { dyn: 1 }), await merge(first, {}));
    expect(await merge(dora, {})).not.toEqual(await merge(dora, { dyn: 1 }));
  });

  it('the first convolution of an inpainting UNet gets the 4 latent channels', async () => {
    const file = await readHeader(fixtureCheckpoint('sd15-inpainting'));
    const inpainting = listLayers(file.tensors, detectCheckpoint(file));
    const lora = put({
      'lora_unet_conv_in.lora_down.weight': { shape: [2, 4, 3, 3] },
      'lora_unet_conv_in.lora_up.weight': { shape: [32, 2, 1, 1] },
    });
    const made = await planLoras([ask('x', 1)], () => ref(lora), inpainting, new LoraStore());
    expect(made.messages).toEqual([]);
    const { down } = made.feeds(UNET)?.get('input_blocks.0.0') ?? {};
    expect(down).toHaveLength(2 * 9 * 9);
    expect(down?.subarray(36, 81).every((x) => x === 0)).toBe(true);
    const [first = 0, second = 0] = Array.from(down?.subarray(81, 83) ?? [], decodeHalf);
    expect(second / first).toBe(3 / 2);
  });

  it('a file that changed on disk is read anew', async () => {
    const file = put(pair(MODULE));
    const store = new LoraStore();
    const rank = async () => {
      const made = await planLoras([ask('x', 1)], () => ref(file), model, store);
      return made.feeds(UNET)?.get(TO_Q)?.rank;
    };
    expect(await rank()).toBe(2);
    fs.renameSync(put(pair(MODULE, 5)), file);
    expect(await rank()).toBe(5);
  });

  it('keeps no more factors than the limit, and those in use in any case', async () => {
    const store = new LoraStore(300);
    const files = [put(pair(MODULE)), put(pair(MODULE))];
    for (const file of files) await planLoras([ask('x', 1)], () => ref(file), model, store);
    expect(store.bytes).toBe(2 * 64 * 2); // one of them, in halves
  });
});

describe('what is refused, as a whole', () => {
  it.each([
    ['tiny-sdxl', /made for SDXL/],
    ['tiny-sd2', /made for Stable Diffusion 2.x/],
  ])('a LoRA for %s', async (arch, sentence) => {
    const made = await plan(makeCached({ arch, lora: { rank: 4 } }));
    expect(made.messages).toEqual([expect.stringMatching(sentence)]);
    expect(made.applied).toEqual([]);
    expect(made.feeds(UNET)).toBeUndefined();
    expect(made.feeds(TEXT)).toBeUndefined();
  });

  it('a Flux LoRA, although its CLIP part would fit', async () => {
    const made = await plan(
      put({
        ...pair('lora_te1_text_model_encoder_layers_0_mlp_fc1', 2, 256, 64),
        ...pair('lora_te1_text_model_encoder_layers_1_mlp_fc1', 2, 256, 64),
        ...pair('lora_unet_double_blocks_0_img_attn_proj'),
      }),
    );
    expect(made.messages).toEqual([expect.stringMatching(/made for Flux/)]);
    expect(made.feeds(TEXT)).toBeUndefined();
  });

  it('a few modules without a layer are told, the rest is applied', async () => {
    const other = MODULE.replace('blocks_0_attn1', 'blocks_7_attn1');
    const made = await plan(put({ ...pair(MODULE), ...pair(other) }));
    expect(made.messages).toEqual([expect.stringMatching(/no layer for 1 of its 2 modules/)]);
    expect(made.feeds(UNET)?.size).toBe(1);
  });

  it('tensors of no module are told, the rest is applied', async () => {
    const made = await plan(put({ ...pair(MODULE), 'logit_scale.x': { shape: [1] } }));
    expect(made.messages).toEqual([
      'lora "x": 1 of its tensors are of no kind of LoRA and not used, the first is "logit_scale.x"',
    ]);
    expect(made.feeds(UNET)?.size).toBe(1);
  });

  const up = `${MODULE}.lora_up.weight`;
  const dotted = 'unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
  it.each<[string, Record<string, SmallTensor>, RegExp]>([
    ['a factor missing', { [up]: { shape: [32, 2] } }, /has the parts up/],
    ['ranks that differ', { ...pair(MODULE), [up]: { shape: [32, 3] } }, /do not fit together/],
    ['rank 0', pair(MODULE, 0), /do not fit together/],
    ['a 3-D factor', { ...pair(MODULE), [up]: { shape: [32, 2, 1] } }, /do not fit together/],
    ['a huge rank', pair(MODULE, 3000), /rank 3000/],
    ['NaN', { ...pair(MODULE), [up]: { shape: [32, 2], values: [Number.NaN] } }, /NaN/],
    ['infinity', { ...pair(MODULE), [up]: { shape: [32, 2], values: [1, -Infinity] } }, /infinity/],
    [
      'NaN in alpha',
      { ...pair(MODULE), [`${MODULE}.alpha`]: { shape: [], values: [Number.NaN] } },
      /NaN/,
    ],
    ['an unknown part', { ...pair(MODULE), [`${MODULE}.lora_x`]: { shape: [1] } }, /unknown part/],
    [
      'an unknown part of a dotted module',
      {
        [`${dotted}.lora_A.weight`]: { shape: [2, 32] },
        [`${dotted}.lora_B.weight`]: { shape: [32, 2] },
        [`${dotted}.lora_x.default.weights`]: { shape: [1] },
      },
      /has the unknown part/,
    ],
    [
      'two modules for one layer',
      { ...pair(MODULE), ...pair(MODULE.replace('lora_', '')) },
      /same layer/,
    ],
    ['no module at all', { a: { shape: [1] } }, /no modules/],
    ['a full difference', { [`${MODULE}.diff`]: { shape: [32, 32] } }, /kind full/],
  ])('%s', async (_, tensors, sentence) => {
    const made = await plan(put(tensors));
    expect(made.messages).toEqual([expect.stringMatching(sentence)]);
    expect(made.applied).toEqual([]);
    expect(made.feeds(UNET)).toBeUndefined();
  });

  it('what is missing is told in the web UI’s words, the others are applied', async () => {
    const file = put(pair(MODULE));
    const find = (name: string) => (name === 'a' ? ref(file) : null);
    const requests = [ask('no', 1), ask('a', 1), ask('../../etc/passwd', 1)];
    const made = await planLoras(requests, find, model, new LoraStore());
    expect(made.messages).toEqual(['Networks not found: no, ../../etc/passwd']);
    expect(made.applied.map(({ name }) => name)).toEqual(['a']);
  });

  it('1,000 damaged files: a sentence each or a sound feed, never an exception', async () => {
    const bytes = fs.readFileSync(put({ ...pair(MODULE), [`${MODULE}.alpha`]: { shape: [] } }));
    const file = path.join(folder, 'damaged.safetensors');
    const store = new LoraStore();
    const edit = fc.record({ at: fc.nat(bytes.length - 1), to: fc.nat(255), cut: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
        let damaged = Buffer.from(bytes);
        for (const { at, to, cut } of edits) {
          if (cut && at < damaged.length) damaged = damaged.subarray(0, at);
          else if (at < damaged.length) damaged[at] = to;
        }
        fs.writeFileSync(`${file}.part`, damaged);
        fs.renameSync(`${file}.part`, file);
        const made = await planLoras([ask('x', 1)], () => ref(file), model, store);
        const feed = made.feeds(UNET)?.get(TO_Q);
        if (made.applied.length === 0) {
          expect(made.messages).toHaveLength(1);
          expect(feed).toBeUndefined();
        } else if (feed) {
          const { in: inner, out } = layer(TO_Q);
          expect(feed.down).toHaveLength(feed.rank * inner);
          expect(feed.up).toHaveLength(feed.rank * out);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
