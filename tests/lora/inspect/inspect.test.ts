import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Inspection, inspectFile, type ModelFolder } from '../../../lora/inspect/inspect.ts';
import { suggestWeights } from '../../../lora/inspect/suggest.ts';
import { readTraining } from '../../../lora/inspect/training.ts';
import { makeCached } from '../../networks/fixture.ts';
import { type SmallTensor, writeTensorFile } from '../write-tensors.ts';

let dir: string;
beforeAll(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-inspect-'));
});
afterAll(() => fs.rmSync(dir, { recursive: true }));

const inspect = (file: string, name = 'x', folder: ModelFolder = 'Lora') =>
  inspectFile(file, name, folder, { measures: true });
const put = (tensors: Record<string, SmallTensor>, metadata: Record<string, string> = {}) =>
  writeTensorFile(path.join(dir, 'x.safetensors'), tensors, metadata);

/** A low-rank module of a kohya file. */
function pair(
  module: string,
  rank: number,
  inner: number,
  out = 8,
  kernel: number[] = [],
): Record<string, SmallTensor> {
  return {
    [`${module}.lora_up.weight`]: { shape: [out, rank, ...kernel.map(() => 1)] },
    [`${module}.lora_down.weight`]: { shape: [rank, inner, ...kernel] },
    [`${module}.alpha`]: { shape: [], values: [rank] },
  };
}

const ATTENTION = 'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0';

describe('a LoRA', () => {
  let told: Inspection;
  beforeAll(async () => {
    told = await inspect(
      put({
        ...pair(`${ATTENTION}_attn1_to_q`, 4, 8),
        ...pair(`${ATTENTION}_attn2_to_k`, 4, 2048),
        ...pair('lora_unet_output_blocks_3_0_in_layers_2', 2, 8, 8, [3, 3]),
        ...pair('lora_te2_text_model_encoder_layers_3_mlp_fc1', 4, 8),
        'bundle_emb.spark.clip_l': { shape: [1, 768] },
        'lora_weird.unknown': { shape: [1] },
      }),
    );
  });

  it('is told with its kind, base, ranks, alphas and what it carries', () => {
    expect(told).toMatchObject({
      kind: 'lora',
      says: 'This is a LoCon (LoRA with convolutions).',
      advice: null,
      base_model: 'SDXL',
      modules: { lora: 4 },
      ranks: [
        { rank: 4, modules: 3 },
        { rank: 2, modules: 1 },
      ],
      network_alpha: [
        { alpha: 4, modules: 3 },
        { alpha: 2, modules: 1 },
      ],
      embeddings: ['spark'],
      licence: null,
      trigger_words: [],
    });
    expect(told.notes).toEqual([expect.stringContaining('"lora_weird.unknown"')]);
  });

  it('is told by parts, the shares of which are the whole', () => {
    expect(told.parts.map(({ network, block, layers }) => [network, block, layers])).toEqual([
      ['unet', 'down', 'self attention'],
      ['unet', 'down', 'cross attention'],
      ['unet', 'up', 'convolutions'],
      ['text encoder 2', null, 'feed-forward'],
    ]);
    expect(told.parts.reduce((sum, { share }) => sum + (share ?? 0), 0)).toBeCloseTo(1, 9);
    expect(told.parts.every(({ norm }) => (norm ?? 0) > 0)).toBe(true);
    expect(told.suggested_weights?.txt2img.max).toBeLessThanOrEqual(2);
  });

  it('without measuring has the same structure and no weights', async () => {
    const file = path.join(dir, 'x.safetensors');
    const quick = await inspectFile(file, 'x', 'Lora', { measures: false });
    expect(quick.parts.map(({ modules }) => modules)).toEqual([1, 1, 1, 1]);
    expect(quick.suggested_weights).toBeNull();
    expect(quick.ranks).toEqual(told.ranks);
  });

  it('with every layer of a tiny checkpoint has a place for all of them', async () => {
    const lora = { rank: 4, alpha: 4, strength: 0.5, textEncoder: true };
    const file = makeCached({ arch: 'tiny-sd15', seed: 5, lora });
    const { parts, average_module_norm } = await inspect(file);
    expect(parts.filter(({ layers }) => layers === 'other')).toEqual([]);
    expect(average_module_norm).toBeGreaterThan(0);
  });

  it('with NaN in it says so and is measured as far as it goes', async () => {
    const bad = pair(`${ATTENTION}_attn1_to_v`, 4, 8);
    const values = Array<number>(32).fill(Number.NaN);
    bad[`${ATTENTION}_attn1_to_v.lora_up.weight`] = { shape: [8, 4], values };
    const { notes, average_module_norm } = await inspect(
      put({ ...bad, ...pair(`${ATTENTION}_attn1_to_q`, 4, 8) }),
    );
    expect(notes).toEqual([expect.stringMatching(/^It is damaged: .* NaN/)]);
    expect(average_module_norm).toBeGreaterThan(0);
  });
});

describe('other files in the LoRA folder', () => {
  const one = (name: string, shape: number[] = [4, 4]) => put({ [name]: { shape } });
  const CASES: [string, () => string, string, RegExp | null][] = [
    ['a checkpoint', () => makeCached({ arch: 'tiny-sd15', seed: 1 }), 'checkpoint', /Stable-diff/],
    ['an embedding', () => one('emb_params', [2, 768]), 'embedding', /into embeddings/],
    ['an upscaler', () => one('conv_first.weight'), 'upscaler', /no use/],
    ['a ControlNet', () => one('control_model.input_hint_block.0.weight'), 'controlnet', /no use/],
    ['a hypernetwork', () => one('768.0.linear.0.weight'), 'hypernetwork', /no use/],
    ['a VAE', () => put({ 'decoder.conv_in.weight': { shape: [4] } }), 'vae', /into VAE/],
    ['Flux', () => one('double_blocks.0.img_attn.qkv.weight'), 'other model', /no use/],
    ['norm weights', () => one('some.norm.weight'), 'other model', /no use/],
    ['half a LoRA', () => one('lora_unet_x.lora_up.weight'), 'damaged', /again/],
  ];
  it.each(CASES)('%s is named', async (_, file, kind, advice) => {
    const told = await inspect(file());
    expect(told.kind).toBe(kind);
    expect(told.advice).toMatch(advice ?? /never/);
    expect(told.says).toMatch(/^This is /);
    expect(told.suggested_weights).toBeNull();
  });

  it('a pickle and nonsense are told with the reason', async () => {
    const file = path.join(dir, 'old.pt');
    fs.writeFileSync(file, 'nonsense');
    expect(await inspect(file)).toMatchObject({ kind: 'pickle', bytes: null });
    expect((await inspect(file)).says).toContain('pickle');
    expect((await inspect(path.join(dir, 'nowhere.safetensors'))).kind).toBe('damaged');
  });

  it('a LoRA among the checkpoints is sent home', async () => {
    const file = put(pair(`${ATTENTION}_attn1_to_q`, 4, 8));
    const { advice } = await inspect(file, 'x', 'Stable-diffusion');
    expect(advice).toBe('It lies in the folder Stable-diffusion and belongs into Lora.');
  });

  it('an SDXL embedding is told with its base', async () => {
    const file = put({ clip_l: { shape: [1, 768] }, clip_g: { shape: [1, 1280] } });
    expect((await inspect(file)).base_model).toBe('SDXL');
  });
});

describe('readTraining', () => {
  const read = (metadata: Record<string, string>) =>
    readTraining(new Map(Object.entries(metadata)));

  it('adds tags up and tells what is on nearly every picture', () => {
    const { tags, trigger_words } = read({
      ss_num_train_images: '200',
      ss_dataset_dirs: '{"10_sks dog": {"n_repeats": 10, "img_count": 20}}',
      ss_tag_frequency:
        '{"10_sks dog": {"sks dog": 20, "grass": 12, " sky ": 3}, "2_b": {"sky": 2}}',
      'modelspec.trigger_phrase': 'sks, glow',
    });
    expect(tags).toEqual([
      { tag: 'sks dog', count: 20 },
      { tag: 'grass', count: 12 },
      { tag: 'sky', count: 5 },
    ]);
    expect(trigger_words).toEqual([
      { word: 'sks', source: 'stated by the trainer' },
      { word: 'glow', source: 'stated by the trainer' },
      { word: 'sks dog', source: 'on 20 of 20 training pictures' },
      { word: 'b', source: 'name of the training folder' },
    ]);
  });

  it('says null for what is not stated, and takes None for that', () => {
    const told = read({ ss_clip_skip: 'None', ss_learning_rate: '1e-05', license: '' });
    expect(told).toEqual({
      trigger_words: [],
      tags: [],
      training: { 'learning rate': '1e-05' },
      licence: null,
      stated_base: null,
    });
    expect(read({ 'modelspec.license': 'CC-BY-4.0' }).licence).toBe('CC-BY-4.0');
  });

  it.each([
    'nonsense',
    '[1]',
    '{"a": 1}',
    '{"a": {"b": "c"}}',
    '{"__proto__": {"x": 1}}',
    '{"a": null}',
    `{"a":${'['.repeat(10_000)}`,
  ])('never throws: %s', (text) => {
    const told = read({ ss_tag_frequency: text, ss_dataset_dirs: text });
    expect(told.tags.length).toBeLessThan(2);
  });

  it('cuts long texts and lists', () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`tag ${i}`, 1]));
    const told = read({
      ss_tag_frequency: JSON.stringify({ '1_a': many }),
      'modelspec.description': 'x'.repeat(100_000),
    });
    expect(told.tags).toHaveLength(50);
    expect(told.training.description).toHaveLength(2_000);
  });
});

describe('suggestWeights', () => {
  const part = { network: 'unet', block: 'down', modules: 1, norm: 1, share: 1 } as const;
  const facts = {
    name: 'x',
    base: 'SDXL',
    ranks: [64],
    parts: [{ ...part, layers: 'self attention' }],
  };

  it('knows SPO by name and structure', () => {
    const spo = { ...facts, name: 'SPO-SDXL_4k-p_10ep_LoRA_webui', averageNorm: 0.1 };
    const { txt2img, img2img } = suggestWeights(spo);
    expect(txt2img).toEqual({ min: 1, max: 1.6 });
    expect(img2img[0]).toEqual({
      denoising_strength: 0.2,
      min: 3,
      max: 8,
      steps: { min: 50, max: 80 },
    });
    expect(img2img.find((row) => row.denoising_strength === 0.35)?.max).toBe(8);
    const others = [
      { ...spo, name: 'spoon' },
      { ...spo, ranks: [32] },
      { ...spo, parts: [{ ...part, layers: 'convolutions' }] },
    ];
    for (const other of others) expect(suggestWeights(other).txt2img.max).toBe(2);
  });

  it.each([
    [4, 0.8, 0.4],
    [1, 1, 0.5],
    [0.8, 1.3, 0.7],
    [0.01, 2, 1],
    [0, 1, 0.5],
    [null, 1, 0.5],
  ])('for an average norm of %s ends at %f', (averageNorm, max, min) => {
    const { txt2img, rule } = suggestWeights({ ...facts, averageNorm });
    expect(txt2img).toEqual({ min, max });
    expect(rule).toContain(averageNorm === null ? 'could not be measured' : 'norm');
  });

  it('never suggests more than 8', () => {
    const { img2img } = suggestWeights({ ...facts, averageNorm: 0.01 });
    expect(img2img[0]).toMatchObject({ min: 5, max: 8 });
    expect(img2img.at(-1)).toMatchObject({ min: 1.3, max: 2.7 });
  });
});
