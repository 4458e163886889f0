/** LoRA weights that differ between steps, blocks, pictures and passes, and LoRAs that are merged. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFloat32, readHeader, type TensorInfo } from '../../networks/checkpoint/safetensors.ts';
import { seedsOf } from '../../pipelines/generation-info.ts';
import type { Txt2ImgJob } from '../../pipelines/job.ts';
import { Model } from '../../pipelines/model/model.ts';
import { prepareLoras, prepareNetwork } from '../../pipelines/prepare-network.ts';
import { positionOf, sampleBatch } from '../../pipelines/sample-batch.ts';
import { txt2img } from '../../pipelines/txt2img.ts';
import { recordedEmbeddings } from '../fixtures/embeddings/recorded.ts';
import { type SmallTensor, writeTensorFile } from '../lora/write-tensors.ts';
import { fixtureCheckpoint, makeCached, relativeError } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';
import { SETTINGS } from './tiny.ts';

const TO_Q = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q';
const FC1 = 'lora_te_text_model_encoder_layers_0_mlp_fc1';
const STEPS = 3;

let model: Model;
let folder: string;
const files = new Map<string, string>();
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-weights-'));
  model = await Model.open(
    { path: fixtureCheckpoint('sd15'), name: 'tiny', hash: null },
    null,
    SETTINGS,
  );
  const lora = { rank: 4, alpha: 4, strength: 0.5, textEncoder: true };
  files.set('a', makeCached({ arch: 'tiny-sd15', seed: 5, lora }));
  files.set('u', makeCached({ arch: 'tiny-sd15', seed: 5, lora: { ...lora, textEncoder: false } }));
});
afterAll(async () => {
  await model.release();
  fs.rmSync(folder, { recursive: true });
});

const put = (name: string, tensors: Record<string, SmallTensor>) =>
  files.set(name, writeTensorFile(path.join(folder, `${name}.safetensors`), tensors));

async function draw(prompt: string, changes: Partial<Txt2ImgJob> = {}, pass?: 'hires') {
  const loras = [...files].map(([name, file]) => ({ name, path: file, hash: null }));
  const small = { width: 64, height: 64, steps: STEPS, loras, prompt, ...changes };
  const job = makeJob(model.checkpoint.path, small);
  const prepared = await prepareLoras(job, model, pass);
  const network = await prepareNetwork(job, prepared.prompt, model, prepared.loras);
  const seeds = seedsOf(job).slice(0, job.batchSize);
  const run = { seeds, position: positionOf(job, 0) };
  const { latent } = await sampleBatch(job, model, network, run, recordHooks());
  return { latent: latent.data, messages: prepared.messages };
}
const latent = async (...args: Parameters<typeof draw>) => (await draw(...args)).latent;

describe('weights over steps', () => {
  it.each([
    ['<lora:a:1@0,1@1>', '<lora:a:1>'],
    ['<lora:u:0@0,0@1>', ''],
    [`<lora:u:8:start=${STEPS}>`, ''],
    [`<lora:u:8:stop=${STEPS}>`, '<lora:u:8>'],
    ['<lora:u:2:step=1-2>', '<lora:u:0@1,2@2,0@3>'],
  ])('%s is %s, bit for bit', async (tag, same) => {
    expect(await latent(`fox${tag}`)).toEqual(await latent(`fox${same}`));
  });

  it('change within a run, and the next run is not touched by it', async () => {
    const [none, one] = [await latent('fox'), await latent('fox<lora:u:2>')];
    const late = await latent('fox<lora:u:2:start=1>');
    expect(late).not.toEqual(none);
    expect(late).not.toEqual(one);
    expect(await latent('fox<lora:u:2>')).toEqual(one);
    expect(await latent('fox')).toEqual(none);
  });
});

describe('an interruption with LoRAs at work', () => {
  it('leaves nothing behind, low-rank or merged', async () => {
    put('whole', { [`${TO_Q}.diff`]: { shape: [32, 32] } });
    const clean = await latent('fox');
    const whole = await latent('fox<lora:a:8><lora:whole:8>');
    const loras = [...files].map(([name, file]) => ({ name, path: file, hash: null }));
    const job = makeJob(model.checkpoint.path, {
      ...{ width: 64, height: 64, steps: STEPS, loras, prompt: 'fox<lora:a:8><lora:whole:8>' },
    });
    const hooks = recordHooks();
    const control = { interrupted: false, skipped: false };
    const onProgress = () => {
      control.interrupted = true;
    };
    const stopping = { ...hooks, control, onProgress };
    const result = await txt2img(job, model, stopping);
    expect(result.stepsExecuted).toBeLessThan(STEPS);
    expect(await latent('fox')).toEqual(clean);
    expect(await latent('fox<lora:a:8><lora:whole:8>')).toEqual(whole);
  });
});

describe('an embedding that a LoRA carries', () => {
  it('does at every weight what its own file does beside the LoRA', async () => {
    const [ref] = (await recordedEmbeddings('sd15')).filter(({ name }) => name === 'zorplex');
    const source = await readHeader(ref?.path ?? '');
    const [info] = source.tensors.values();
    const tensors = { [`${FC1}.diff`]: { shape: [256, 64] } };
    const values = [...readFloat32(source, info as TensorInfo)];
    put('plain', tensors);
    put('carrier', {
      ...tensors,
      'bundle_emb.zorplex.string_to_param.*': { shape: info?.shape ?? [], values },
    });
    const embeddings = ref ? [ref] : [];
    const none = await latent('a zorplex');
    for (const weight of [-1, 0, 0.5, 1.5, 8]) {
      const own = await latent(`a zorplex<lora:plain:${weight}>`, { embeddings });
      expect(own).not.toEqual(none);
      expect(await latent(`a zorplex<lora:carrier:${weight}>`)).toEqual(own);
    }
    expect(await latent('a zorplex')).toEqual(none);
  });
});

describe('weights by block', () => {
  it('ALL is none said, NONE is no LoRA, the rest lies between', async () => {
    const [none, all] = [await latent('fox'), await latent('fox<lora:a:2>')];
    expect(await latent('fox<lora:a:2:lbw=ALL>')).toEqual(all);
    expect(await latent('fox<lora:a:2:lbw=NONE>')).toEqual(none);
    expect(await latent('fox<lora:a:2:lbw=ALL0.5>')).toEqual(await latent('fox<lora:a:1>'));
    const ins = await latent('fox<lora:a:2:lbw=INS>');
    expect(relativeError(ins, none)).toBeGreaterThan(1e-3);
    expect(relativeError(ins, all)).toBeGreaterThan(1e-3);
  });
});

describe('weights by picture', () => {
  it('gives each picture of a batch its own', async () => {
    const batch = { batchSize: 2, steps: 2 };
    const apart = await latent('fox<lora:u:unet=2|0>', batch);
    const [two, none] = [await latent('fox<lora:u:2>', batch), await latent('fox', batch)];
    const half = two.length / 2;
    expect(relativeError(apart.slice(0, half), two.slice(0, half))).toBeLessThan(1e-5);
    expect(relativeError(apart.slice(half), none.slice(half))).toBeLessThan(1e-5);
    expect(relativeError(apart.slice(half), two.slice(half))).toBeGreaterThan(1e-3);
  });
});

describe('weights by pass', () => {
  it('hr is read in the second pass alone', async () => {
    const two = await latent('fox<lora:a:2>');
    expect(await latent('fox<lora:a:2:hr=0>')).toEqual(two);
    expect(await latent('fox<lora:a:1:hr=2>', {}, 'hires')).toEqual(two);
  });
});

describe('LoRAs that are merged', () => {
  /** up · down of rank 1 as a pair and as a difference of the whole weight. */
  const both = (module: string, out: number, inner: number) => {
    const up = Array.from({ length: out }, (_, i) => Math.sin(i) / 4);
    const down = Array.from({ length: inner }, (_, i) => Math.cos(i) / 4);
    return {
      pair: {
        [`${module}.lora_up.weight`]: { shape: [out, 1], values: up },
        [`${module}.lora_down.weight`]: { shape: [1, inner], values: down },
      },
      diff: {
        [`${module}.diff`]: {
          shape: [out, inner],
          values: up.flatMap((u) => down.map((d) => u * d)),
        },
      },
    };
  };

  it('give what the same change gives as a low-rank input, in UNet and text encoder', async () => {
    const [unet, text] = [both(TO_Q, 32, 32), both(FC1, 256, 64)];
    put('pair', { ...unet.pair, ...text.pair });
    put('full', { ...unet.diff, ...text.diff });
    const none = await latent('fox');
    for (const weight of [-1, 0.5, 1.5, 8]) {
      const { latent: merged, messages } = await draw(`fox<lora:full:${weight}>`);
      expect(messages).toEqual([]);
      const fed = await latent(`fox<lora:pair:${weight}>`);
      expect(relativeError(fed, none)).toBeGreaterThan(1e-3);
      expect(relativeError(merged, fed)).toBeLessThan(1e-4);
    }
    // Beside a low-rank one, by block, and gone again.
    const mixed = await latent('fox<lora:full:1><lora:u:2>');
    expect(relativeError(mixed, await latent('fox<lora:pair:1><lora:u:2>'))).toBeLessThan(1e-4);
    expect(await latent('fox<lora:full:8:lbw=NONE>')).toEqual(none);
    expect(await latent('fox')).toEqual(none);
  });

  it('keep their networks: A, B, A makes two UNets, not three', async () => {
    put('one', both(TO_Q, 32, 32).diff);
    const first = await latent('fox<lora:one:1>');
    const merges = async () => {
      const loras = [{ name: 'one', path: files.get('one') as string, hash: null }];
      const job = makeJob(model.checkpoint.path, { prompt: '<lora:one:1>', loras });
      return (await prepareLoras(job, model)).loras.merges(model.config.unet.prefix);
    };
    const network = await model.unet(false, await merges());
    expect(await latent('fox<lora:one:2>')).not.toEqual(first);
    expect(await latent('fox<lora:one:1>')).toEqual(first);
    expect(await model.unet(false, await merges())).toBe(network);
  });

  it('that cannot be merged are left out as a whole, others are applied', async () => {
    put('broken', {
      ...both(FC1, 256, 64).pair,
      // Blocks that are no squares: found only when the data is read.
      [`${TO_Q}.oft_blocks`]: { shape: [16, 4, 2] },
    });
    const { latent: values, messages } = await draw('fox<lora:broken:1><lora:u:2>');
    expect(messages).toEqual([expect.stringMatching(/lora "broken" was not applied: /)]);
    expect(values).toEqual(await latent('fox<lora:u:2>'));
  });

  it('say so when their weight is asked to change', async () => {
    put('steps', both(TO_Q, 32, 32).diff);
    const { messages } = await draw('fox<lora:steps:1@0,0@1>');
    expect(messages).toEqual([expect.stringMatching(/kind full are merged and keep the weight 1/)]);
  });
});
