/** 1,000 damaged LoRA files, the same ones at every run: clear sentences, and nothing falls over. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLora, openLoraHashes, scanLoras } from '../../lora/catalogue.ts';
import { type Inspection, inspectFile } from '../../lora/inspect/inspect.ts';
import { listLayers, type ModelLayers } from '../../lora/layers.ts';
import { type LoraPlan, planLoras } from '../../lora/plan.ts';
import { LoraStore } from '../../lora/store.ts';
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { type SmallTensor, writeTensorFile } from '../lora/write-tensors.ts';
import { fixtureCheckpoint } from '../networks/fixture.ts';

const BLOCK = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0';
type Tensors = Record<string, SmallTensor>;

/** A whole file: two low-rank modules, a LoHa, an embedding. */
function honest(): Tensors {
  const pair = (name: string, width: number): Tensors => ({
    [`${BLOCK}_${name}.lora_down.weight`]: { shape: [2, width] },
    [`${BLOCK}_${name}.lora_up.weight`]: { shape: [32, 2] },
    [`${BLOCK}_${name}.alpha`]: { shape: [], values: [2] },
  });
  return {
    ...pair('attn1_to_q', 32),
    ...pair('attn2_to_k', 64),
    [`${BLOCK}_attn1_to_v.hada_w1_a`]: { shape: [32, 2] },
    [`${BLOCK}_attn1_to_v.hada_w1_b`]: { shape: [2, 32] },
    [`${BLOCK}_attn1_to_v.hada_w2_a`]: { shape: [32, 2] },
    [`${BLOCK}_attn1_to_v.hada_w2_b`]: { shape: [2, 32] },
    'bundle_emb.spark.string_to_param.*': { shape: [1, 64] },
  };
}

let seed = 20_261_122;
const below = (limit: number): number => {
  seed = (seed * 48_271) % 2_147_483_647;
  return seed % limit;
};
const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;
const weights = (tensors: Tensors) =>
  Object.keys(tensors).filter((name) => /\.(lora_|hada)/.test(name));

/** What is done to a file, and whether anything of it may still be applied. */
const DAMAGES: Record<string, { files: number; never: boolean; write(file: string): void }> = {
  'cut short': {
    files: 200,
    never: true,
    write(file) {
      const bytes = fs.readFileSync(writeTensorFile(file, honest()));
      fs.truncateSync(file, below(bytes.length));
    },
  },
  'with bytes of its header changed': {
    files: 250,
    never: false,
    write(file) {
      const bytes = fs.readFileSync(writeTensorFile(file, honest()));
      const end = 8 + Number(bytes.readBigUInt64LE());
      for (let i = 0; i <= below(3); i++) bytes[below(end)] = below(256);
      fs.writeFileSync(file, bytes);
    },
  },
  'of wrong shapes': {
    files: 150,
    never: true,
    write(file) {
      const tensors = honest();
      const name = pick(weights(tensors));
      const { shape } = tensors[name] as SmallTensor;
      const [a = 1, b = 1] = shape;
      const shapes = [[b, a], [a * b], [1, a * b], [a + 1, b], [a, b + 1], [0, b], []];
      tensors[name] = { shape: pick(shapes) };
      writeTensorFile(file, tensors);
    },
  },
  'of huge ranks': {
    files: 50,
    never: true,
    write(file) {
      const rank = pick([2_049, 4_096, 65_536]);
      writeTensorFile(file, {
        [`${BLOCK}_attn1_to_q.lora_down.weight`]: { shape: [rank, 1], values: [] },
        [`${BLOCK}_attn1_to_q.lora_up.weight`]: { shape: [1, rank], values: [] },
      });
    },
  },
  'that claim more than they have': {
    files: 100,
    never: true,
    write(file) {
      const bytes = fs.readFileSync(writeTensorFile(file, honest()));
      const text = bytes
        .toString('latin1')
        .replace('[2,32]', pick(['[9,32]', '[2,3e9]', '[2,-2]']));
      fs.writeFileSync(file, Buffer.from(text, 'latin1'));
    },
  },
  'with NaN or infinity': {
    files: 100,
    never: true,
    write(file) {
      const tensors = honest();
      const name = pick(weights(tensors));
      const { shape } = tensors[name] as SmallTensor;
      const values = Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0.5);
      values[below(values.length)] = pick([Number.NaN, Infinity, -Infinity]);
      writeTensorFile(file, { ...tensors, [name]: { shape, values } });
    },
  },
  'without one of a pair': {
    files: 100,
    never: true,
    write(file) {
      const tensors = honest();
      delete tensors[pick(weights(tensors))];
      writeTensorFile(file, tensors);
    },
  },
  'with hostile names of tensors': {
    files: 50,
    never: false,
    write(file) {
      const name = pick([
        '../../x',
        'x'.repeat(10_000),
        '__proto__',
        'a\0b',
        '../../x.lora_up.weight',
      ]);
      writeTensorFile(file, { ...honest(), [name]: { shape: [1] } });
    },
  },
};

let dir: string;
let model: ModelLayers;
const results = new Map<string, { plan: LoraPlan; told: Inspection }[]>();
const crashes: unknown[] = [];

beforeAll(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-damaged-'));
  const checkpoint = await readHeader(fixtureCheckpoint('sd15'));
  model = listLayers(checkpoint.tensors, detectCheckpoint(checkpoint));
  const folder = path.join(dir, 'Lora');
  let count = 0;
  for (const [damage, { files, write }] of Object.entries(DAMAGES)) {
    for (let i = 0; i < files; i++) write(path.join(folder, `${damage} ${count++}.safetensors`));
  }
  const catalogue = await scanLoras([folder], await openLoraHashes(null));
  for (const entry of catalogue.entries) {
    const { path: file, loraName: name } = entry;
    const ref = { name, path: file, hash: null };
    try {
      const request = { name, te: 1, unet: 1, dyn: null };
      const plan = await planLoras([request], () => ref, model, new LoraStore());
      const told = await inspectFile(file, name, 'Lora', { measures: true });
      const damage = name.replace(/ \d+$/, '');
      results.set(damage, [...(results.get(damage) ?? []), { plan, told }]);
    } catch (error) {
      crashes.push([name, error]);
    }
    if (findLora(catalogue, name) !== entry) crashes.push([name, 'not found']);
  }
}, 120_000);
afterAll(() => fs.rmSync(dir, { recursive: true }));

it('an honest file is applied and measured', async () => {
  const file = writeTensorFile(path.join(dir, 'honest.safetensors'), honest());
  const ref = { name: 'x', path: file, hash: null };
  const request = { name: 'x', te: 1, unet: 1, dyn: null };
  const plan = await planLoras([request], () => ref, model, new LoraStore());
  expect([plan.applied.length, plan.messages]).toEqual([1, []]);
  const told = await inspectFile(file, 'x', 'Lora', { measures: true });
  expect(told).toMatchObject({ kind: 'lora', notes: [], embeddings: ['spark'] });
  expect(told.average_module_norm).toBeGreaterThan(0);
});

describe('1,000 damaged files', () => {
  it('crash nothing', () => {
    expect(crashes).toEqual([]);
    expect([...results.values()].flat()).toHaveLength(1_000);
  });

  it.each(Object.keys(DAMAGES))('%s are left out with a sentence, or are still whole', (damage) => {
    const { files, never } = DAMAGES[damage] as (typeof DAMAGES)[string];
    const found = results.get(damage) ?? [];
    expect(found).toHaveLength(files);
    for (const { plan, told } of found) {
      if (never) expect(plan.applied).toEqual([]);
      if (plan.applied.length === 0) {
        expect(plan.messages).toHaveLength(1);
        expect(plan.messages[0]).toMatch(/^lora ".*" was not applied: .{10}/);
      }
      for (const text of [...plan.messages, told.says, ...told.notes]) {
        expect(text.length).toBeLessThan(1_000);
        expect(text).not.toContain('\0');
      }
    }
  });

  it('leave nothing outside the folder', () => {
    expect(fs.readdirSync(dir).sort()).toEqual(['Lora', 'honest.safetensors']);
  });
});
