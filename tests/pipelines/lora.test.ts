/** LoRAs in whole runs on a tiny checkpoint. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Txt2ImgJob } from '../../pipelines/job.ts';
import { Model } from '../../pipelines/model/model.ts';
import { txt2img } from '../../pipelines/txt2img.ts';
import { fixtureCheckpoint, makeCached } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';

const settings = { device: 'cpu', threads: 2, memoryMode: 'normal' } as const;

describe('LoRAs of a prompt', () => {
  let model: Model;
  let changes: Partial<Txt2ImgJob>;

  beforeAll(async () => {
    const checkpoint = fixtureCheckpoint('sd15');
    model = await Model.open({ path: checkpoint, name: 'tiny', hash: null }, null, settings);
    const lora = { rank: 4, alpha: 4, strength: 0.5, textEncoder: true };
    const a = makeCached({ arch: 'tiny-sd15', seed: 5, lora });
    const b = makeCached({ arch: 'tiny-sd15', seed: 6, lora });
    changes = {
      steps: 2,
      width: 64,
      height: 64,
      seed: 1,
      loras: [
        { name: 'a', path: a, hash: '0123456789ab' },
        { name: 'b', path: b, hash: null },
      ],
    };
  });
  afterAll(() => model.release());

  const run = (prompt: string) =>
    txt2img(makeJob(model.checkpoint.path, { ...changes, prompt }), model, recordHooks());
  const bytes = async (prompt: string) => {
    const job = makeJob(model.checkpoint.path, {
      ...changes,
      prompt,
      output: { format: 'png', quality: 80, writeInfotext: false },
    });
    return Buffer.from((await txt2img(job, model, recordHooks())).images[0] as Uint8Array);
  };

  it('change the picture, each weight in its own way', async () => {
    const plain = await bytes('a fox');
    const one = await bytes('a fox<lora:a:1>');
    const two = await bytes('a fox<lora:a:2>');
    const negative = await bytes('a fox<lora:a:-1>');
    expect(new Set([plain, one, two, negative].map((b) => b.toString('base64'))).size).toBe(4);
  });

  it('weight 0 is bit-identical to none', async () => {
    expect(await bytes('a fox<lora:a:0>')).toEqual(await bytes('a fox'));
  });

  it('A, then B, then A again gives the first picture again', async () => {
    const first = await bytes('a fox<lora:a:1.5>');
    const other = await bytes('a fox<lora:b:1.5>');
    expect(other).not.toEqual(first);
    expect(await bytes('a fox<lora:a:1.5>')).toEqual(first);
  });

  it('are told in the infotext with their hashes, and in info', async () => {
    const { infotexts, info } = await run('a fox <lora:a:0.5:1.5> <lora:b>');
    expect(infotexts[0]).toContain('a fox <lora:a:0.5:1.5> <lora:b>\n');
    expect(infotexts[0]).toContain('Lora hashes: "a: 0123456789ab"');
    expect(info.loras).toEqual([
      { name: 'a', te_weight: 0.5, unet_weight: 1.5, hash: '0123456789ab' },
      { name: 'b', te_weight: 1, unet_weight: 1, hash: null },
    ]);
    expect(info.comments).toEqual([]);
    const tag = '0@0,1.5@1:lbw=OUTALL:hr=0.5';
    expect((await run(`a fox <lora:a:${tag}>`)).info.loras).toEqual([
      { name: 'a', te_weight: 0, unet_weight: 0, hash: '0123456789ab', written: tag },
    ]);
  });

  it('that do not exist are left out, and a comment says so', async () => {
    const { info } = await run('a fox<lora:nowhere:1>');
    expect(info.comments).toEqual(['Networks not found: nowhere']);
    expect(await bytes('a fox<lora:nowhere:1>')).toEqual(await bytes('a fox'));
  });
});
