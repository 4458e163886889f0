/** Prompts that are encoded once for several jobs, and the same bits either way. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Network } from '../../../networks/session.ts';
import { type EncodeOptions, encodePlan } from '../../../pipelines/conditioning/encode.ts';
import { RunCache } from '../../../pipelines/conditioning/run-cache.ts';
import type { Model } from '../../../pipelines/model/model.ts';
import { prepareLoras } from '../../../pipelines/prepare-network.ts';
import { planConditioning } from '../../../pipelines/prompt/conditioning-plan.ts';
import { fixtureCheckpoint, makeCached } from '../../networks/fixture.ts';
import { makeJob } from '../job.ts';
import { openModel } from '../tiny.ts';

/** Runs of text encoders: nothing here runs a UNet. */
const runs = vi.fn();
beforeAll(() => {
  const { run } = Network.prototype;
  vi.spyOn(Network.prototype, 'run').mockImplementation(function (this: Network, ...args) {
    runs();
    return run.apply(this, args);
  });
});
afterAll(() => vi.restoreAllMocks());

type EncodeChanges = Partial<EncodeOptions> & { keeps?: boolean; negative?: string };

describe('a cache of runs', () => {
  const chunk = (values: number) => ({ hidden: new Float32Array(values), pooled: null });

  it('gives back what it was given, and lets go of what was used longest ago', () => {
    const cache = new RunCache(1_000);
    const [a, b, c] = [chunk(100), chunk(100), chunk(100)];
    cache.set('a', a);
    cache.set('b', b);
    expect(cache.get('a')).toBe(a);
    cache.set('c', c);
    expect(cache.get('b')).toBeUndefined();
    expect(cache.get('a')).toBe(a);
    expect(cache.get('c')).toBe(c);
    expect(cache.bytes).toBeLessThanOrEqual(1_000);
  });

  it('counts a key that is set again once', () => {
    const cache = new RunCache(1_000);
    for (let i = 0; i < 5; i++) cache.set('a', chunk(100));
    expect(cache.bytes).toBe(402);
  });

  it('keeps nothing that is larger than all it may keep', () => {
    const cache = new RunCache(1_000);
    cache.set('a', chunk(1_000));
    expect(cache.bytes).toBe(0);
  });
});

describe.each(['sd15', 'sdxl'] as const)('encoding with %s', (checkpoint) => {
  let model: Model;
  const encoders = checkpoint === 'sdxl' ? 2 : 1;

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-runs-'));
  const loraPath = path.join(folder, 'a.safetensors');
  const loras = [{ name: 'a', path: loraPath, hash: null }];
  const tinyLora = (seed: number) =>
    makeCached({
      arch: `tiny-${checkpoint}`,
      seed,
      lora: { rank: 4, alpha: 4, strength: 0.5, textEncoder: true },
    });
  beforeAll(async () => {
    model = await openModel(fixtureCheckpoint(checkpoint));
    fs.copyFileSync(tinyLora(5), loraPath);
  });
  afterAll(async () => {
    await model.release();
    fs.rmSync(folder, { recursive: true });
  });
  beforeEach(() => runs.mockClear());

  /** Encodes a prompt as a job does: with what is kept, and (`keeps` false) without. */
  async function encode(
    prompt: string,
    { keeps = true, negative = 'blurry', ...changes }: EncodeChanges = {},
  ) {
    const job = makeJob(model.checkpoint.path, { prompt, loras });
    const { prompt: text, loras: plan } = await prepareLoras(job, model);
    const options = { ...job.options, ...changes, keepsConditioning: keeps };
    const conditioning = planConditioning({ prompt: text, negativePrompt: negative, steps: 4 });
    return encodePlan(model, conditioning, options, plan);
  }

  it('asks no text encoder for a prompt that it had', async () => {
    const first = await encode('a red fox');
    expect(runs).toHaveBeenCalledTimes(encoders);
    const again = await encode('a red fox');
    expect(runs).toHaveBeenCalledTimes(encoders);
    expect(again).toEqual(first);
    expect(again).toEqual(await encode('a red fox', { keeps: false }));
  });

  it.each<[string, string, EncodeChanges]>([
    ['another prompt', 'a blue ship', {}],
    ['another negative prompt', 'a red fox', { negative: 'ugly' }],
    ['an empty negative prompt', 'a red fox', { negative: '' }],
    ['a prompt with weights', 'a (red:1.4) fox', {}],
    ['a prompt of two chunks', 'a red fox BREAK a blue ship', {}],
    ['a prompt that changes', 'a [red fox:blue ship:2] AND a tree', {}],
    ['clip skip', 'a red fox', { clipSkip: 2, sdxlClipLSkip: true }],
    ['another emphasis', 'a (red:1.4) fox', { emphasis: 'No norm' }],
    ['a LoRA', 'a red fox<lora:a:1>', {}],
    ['its other weight', 'a red fox<lora:a:0.5>', {}],
  ])('gives the bits of a fresh run for %s', async (_, prompt, changes) => {
    await encode('a red fox');
    const kept = await encode(prompt, changes);
    expect(kept).toEqual(await encode(prompt, { ...changes, keeps: false }));
    runs.mockClear();
    expect(await encode(prompt, changes)).toEqual(kept);
    expect(runs).not.toHaveBeenCalled();
  });

  it('a LoRA changes what is encoded, and its file is looked at', async () => {
    const plain = await encode('a tree');
    const first = await encode('a tree<lora:a:1>');
    expect(first.texts).not.toEqual(plain.texts);
    fs.copyFileSync(tinyLora(6), loraPath);
    const changed = await encode('a tree<lora:a:1>');
    expect(changed.texts).not.toEqual(first.texts);
    expect(changed).toEqual(await encode('a tree<lora:a:1>', { keeps: false }));
  });
});
