/** Whole jobs with a hires fix on tiny checkpoints. */
import { afterAll, describe, expect, it } from 'vitest';
import { decodeImage } from '../../../images/decode.ts';
import { readInfotext } from '../../../images/read-infotext.ts';
import type { HiresPass, JobProgress, Txt2ImgJob } from '../../../pipelines/job.ts';
import { txt2img } from '../../../pipelines/txt2img.ts';
import { fixtureCheckpoint, makeCached } from '../../networks/fixture.ts';
import { upscalerFile } from '../../networks/upscaler/fixture.ts';
import { recordHooks } from '../job.ts';
import { toFile } from '../tiny.ts';
import { makeHiresJob, makeTools } from './job.ts';

const CHECKPOINT = fixtureCheckpoint('sd15');
const LORA = makeCached({
  arch: 'tiny-sd15',
  seed: 5,
  lora: { rank: 4, alpha: 4, strength: 0.5, textEncoder: true },
});
const tools = makeTools();
afterAll(() => tools.release());

async function run(
  changes: Partial<Txt2ImgJob> = {},
  pass: Partial<HiresPass> = {},
  hooks = recordHooks(),
) {
  const job = makeHiresJob(CHECKPOINT, { prompt: 'a fox', ...changes }, pass);
  const result = await txt2img(job, await tools.use(job.checkpoint, null), hooks, tools);
  const pictures = await Promise.all(result.images.map((bytes) => decodeImage(bytes)));
  return { ...result, pictures };
}

describe('a hires fix', () => {
  it('gives pictures of the enlarged size, and tells steps and infotext of both passes', async () => {
    const { pictures, infotexts, info, stepsExecuted } = await run({}, { steps: 4 });
    expect(pictures[0]).toMatchObject({ width: 128, height: 128 });
    expect(stepsExecuted).toBe(3 + 4);
    expect(info).toMatchObject({
      steps_executed: 7,
      model_calls: 7,
      width: 64,
      denoising_strength: 0.5,
    });
    expect(infotexts[0]).toContain('Size: 64x64');
    expect(infotexts[0]).toContain(
      'Denoising strength: 0.5, Hires upscale: 2.0, Hires upscaler: Latent, Version',
    );
  });

  it('tells everything that differs, in the order of the web UI', async () => {
    const { infotexts } = await run(
      {},
      {
        ...{ prompt: 'a fox, closer', negativePrompt: 'blurry', sampler: 'Heun', cfgScale: 4 },
        ...{ scheduler: 'Karras', steps: 2 },
        asked: { upscaler: 'Latent', steps: 2, size: { x: 128, y: 0 } },
      },
    );
    expect(infotexts[0]).toContain(
      'Hires sampler: Heun, Hires prompt: "a fox, closer", Hires negative prompt: blurry, ' +
        'Hires schedule type: Karras, Hires CFG Scale: 4.0, Hires resize: 128x0, Hires steps: 2, ' +
        'Hires upscaler: Latent',
    );
  });

  it('cuts what sticks out', async () => {
    const { pictures } = await run({}, { cut: { width: 3, height: 0 } });
    expect(pictures[0]).toMatchObject({ width: 104, height: 128 });
  });

  it('counts both passes of every iteration', async () => {
    const seen: string[] = [];
    const hooks = recordHooks();
    hooks.onProgress = ({ jobNo, jobCount, samplingStep, samplingSteps }: JobProgress) => {
      seen.push(`${jobNo}/${jobCount} ${samplingStep}/${samplingSteps}`);
    };
    await run({ nIter: 2, steps: 2 }, { steps: 3 }, hooks);
    for (const text of ['0/4 0/2', '0/4 1/2', '1/4 0/3', '1/4 2/3', '2/4 1/2', '3/4 2/3']) {
      expect(seen).toContain(text);
    }
    expect(seen.join()).not.toContain('4/4');
  });

  it('keeps the pictures of the first pass where they are wanted', async () => {
    const plain = await run();
    expect(plain.beforeHires).toBeUndefined();
    const { beforeHires = [], infotexts } = await run(
      { nIter: 2, grid: true },
      { keepsFirst: true },
    );
    expect(beforeHires).toHaveLength(2);
    const first = await decodeImage(beforeHires[1] ?? new Uint8Array());
    expect(first).toMatchObject({ width: 64, height: 64 });
    const { infotext } = await readInfotext(beforeHires[1] ?? new Uint8Array());
    expect(infotext).toBe(infotexts[2]);
  });

  it('at strength 0 only enlarges', async () => {
    const { stepsExecuted, pictures } = await run({}, { denoisingStrength: 0 });
    expect(stepsExecuted).toBe(3);
    expect(pictures[0]).toMatchObject({ width: 128, height: 128 });
  });

  it('does not depend on the batch that a picture is made in', async () => {
    const { pictures } = await run({ batchSize: 2 });
    const { pictures: alone } = await run({ seed: 1 });
    const [own, other] = [pictures[1]?.data ?? [], alone[0]?.data ?? []];
    let largest = 0;
    own.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(value - (other[i] ?? 0)));
    });
    expect(largest).toBeLessThanOrEqual(1);
  });

  it('enlarges with a model, in pixels', async () => {
    const upscaler = { name: 'x4plus', kind: 'model', path: upscalerFile('x4plus') } as const;
    const { pictures } = await run({}, { upscaler, steps: 2 });
    expect(pictures[0]).toMatchObject({ width: 128, height: 128 });
    const latent = await run({}, { steps: 2 });
    expect(pictures[0]?.data).not.toEqual(latent.pictures[0]?.data);
  });
});

describe('the LoRAs of the second pass', () => {
  const refs = [{ name: 'a', path: LORA, hash: '0123456789ab' }];
  const pixels = async (changes: Partial<Txt2ImgJob>, pass: Partial<HiresPass>) =>
    (await run(changes, pass)).pictures[0]?.data;

  it('are those of its own prompt: without a tag there, there is none', async () => {
    const first = { prompt: 'a fox<lora:a:1>', loras: refs };
    const both = await pixels(first, { prompt: 'a fox<lora:a:1>', loras: refs });
    const off = await pixels(first, { prompt: 'a fox', loras: [] });
    const never = await pixels({}, {});
    expect(off).not.toEqual(both);
    expect(off).not.toEqual(never);
    // A tag may also say its weight for this pass.
    const tag = { prompt: 'a fox<lora:a:1:hr=0>', loras: refs };
    expect(await pixels(tag, tag)).toEqual(off);
  });

  it('do not reach the first pass, and are told', async () => {
    const still = { denoisingStrength: 0 };
    const plain = await pixels({}, still);
    const { pictures, infotexts, info } = await run(
      {},
      { ...still, prompt: 'a fox<lora:a:1>', loras: refs },
    );
    expect(pictures[0]?.data).toEqual(plain);
    expect(infotexts[0]).toContain('Lora hashes: "a: 0123456789ab"');
    expect(info.loras).toMatchObject([{ name: 'a' }]);
  });
});

describe('another checkpoint in the second pass', () => {
  it('draws it, and the first one draws the next iteration', async () => {
    const other = { ...toFile(makeCached({ arch: 'tiny-sd15', seed: 9, dtype: 'f32' }), 'other') };
    const model = { checkpoint: { ...other, hash: '0011223344' }, vae: null };
    tools.opened.length = 0;
    const { pictures, infotexts } = await run({ nIter: 2 }, { model });
    expect(tools.opened.filter((name) => name === 'other')).toHaveLength(2);
    expect(infotexts[0]).toContain('Hires checkpoint: other [0011223344], Hires upscale');
    const same = await run({ nIter: 2 });
    expect(pictures[1]?.data).not.toEqual(same.pictures[1]?.data);
    const again = await run({ seed: 1 }, { model });
    expect(again.pictures[0]?.data).toEqual(pictures[1]?.data);
  });
});

describe('an interruption', () => {
  it('in the first pass gives its picture, without a second pass', async () => {
    const hooks = recordHooks();
    hooks.onProgress = ({ samplingStep }) => {
      if (samplingStep === 1) hooks.control.interrupted = true;
    };
    const { pictures } = await run({}, {}, hooks);
    expect(pictures).toHaveLength(1);
    expect(pictures[0]).toMatchObject({ width: 64, height: 64 });
  });

  it('in the second pass gives what it had come to', async () => {
    const hooks = recordHooks();
    hooks.onProgress = ({ jobNo, samplingStep }) => {
      if (jobNo === 1 && samplingStep === 1) hooks.control.interrupted = true;
    };
    const { pictures, stepsExecuted } = await run({ nIter: 2 }, { steps: 4 }, hooks);
    expect(pictures).toHaveLength(1);
    expect(pictures[0]).toMatchObject({ width: 128, height: 128 });
    expect(stepsExecuted).toBeLessThan(3 + 4);
  });
});

it('needs the tools that open upscalers and checkpoints', async () => {
  const job = makeHiresJob(CHECKPOINT);
  const model = await tools.use(job.checkpoint, null);
  await expect(txt2img(job, model, recordHooks())).rejects.toThrow(TypeError);
});
