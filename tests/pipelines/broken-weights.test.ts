/** Checkpoints whose weights are no numbers: an error that names the stage instead of a black picture. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Txt2ImgJob } from '../../pipelines/job.ts';
import { createRunner } from '../../pipelines/runner.ts';
import { makeCached } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';
import { copyTiny, F32_OPTIONS, fillTensors, SETTINGS, SMALL, toFile } from './tiny.ts';

const UNET = /^model\.diffusion_model\.middle_block\.0\.in_layers\.2\.weight$/;
const DECODER = /^first_stage_model\.decoder\.up\.0\.block\.1\.conv2\.bias$/;
const ENCODER = /^first_stage_model\.encoder\.down\.1\.block\.0\.conv1\.bias$/;
const TEXT = /text_model\.encoder\.layers\.2\.mlp\.fc1\.weight$/;
const ALL_WEIGHTS = /^(model\.diffusion_model|first_stage_model|cond_stage_model)\..*weight$/;

let folder: string;
const runner = createRunner(SETTINGS);

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-broken-'));
});
afterAll(async () => {
  await runner.unload();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function run(file: string, changes: Partial<Txt2ImgJob> = {}) {
  const job = makeJob(file, { ...SMALL, steps: 2, prompt: 'a fox', ...changes });
  return runner.run({ ...job, checkpoint: toFile(file, path.basename(file)) }, recordHooks());
}

describe('weights that are no numbers', () => {
  it.each([
    ['NaN in the UNet', UNET, Number.NaN, 'UNet'],
    ['infinity in the UNet, as an overflow of fp16 leaves it', UNET, Infinity, 'UNet'],
    ['an overflow of f32 in the UNet', UNET, 3e38, 'UNet'],
    ['NaN in the VAE', DECODER, Number.NaN, 'VAE decoder'],
    ['infinity in the VAE', DECODER, -Infinity, 'VAE decoder'],
    ['NaN in the text encoder', TEXT, Number.NaN, 'text encoder CLIP-L'],
  ])('%s', async (name, tensors, value, stage) => {
    const file = copyTiny(path.join(folder, `${name}.safetensors`));
    expect(await fillTensors(file, tensors, value)).toBe(1);
    await expect(run(file)).rejects.toMatchObject({
      name: 'PipelineError',
      code: 'NON_FINITE',
      message: expect.stringContaining(`The ${stage} of ${path.basename(file)} produced`),
    });
  });

  it('NaN in the VAE encoder of an inpainting checkpoint', async () => {
    const file = path.join(folder, 'inpainting.safetensors');
    fs.copyFileSync(makeCached({ ...F32_OPTIONS, inChannels: 9 }), file);
    expect(await fillTensors(file, ENCODER, Number.NaN)).toBe(1);
    await expect(run(file)).rejects.toThrow('The VAE encoder of inpainting.safetensors produced');
  });

  it("NaN in the projection of SDXL's pooled vector", async () => {
    const file = path.join(folder, 'sdxl.safetensors');
    fs.copyFileSync(makeCached({ arch: 'tiny-sdxl', norms: 'random', dtype: 'f32' }), file);
    expect(await fillTensors(file, /text_projection$/, Number.NaN)).toBe(1);
    await expect(run(file)).rejects.toThrow('The text encoder CLIP-G of sdxl.safetensors produced');
  });

  it('a sampler that runs away is not blamed on the file', async () => {
    const file = copyTiny(path.join(folder, 'fine.safetensors'));
    const { options } = makeJob(file);
    const wild = run(file, { options: { ...options, sChurn: 10, sNoise: 3e38 } });
    await expect(wild).rejects.toMatchObject({ code: 'NON_FINITE' });
    await expect(wild).rejects.toThrow('The sampling of fine.safetensors produced');
    expect((await run(file)).images).toHaveLength(1);
  });
});

describe('weights of zeros', () => {
  it('make a grey picture, no error', async () => {
    const file = copyTiny(path.join(folder, 'zeros.safetensors'));
    expect(await fillTensors(file, ALL_WEIGHTS, 0)).toBeGreaterThan(300);
    const result = await run(file);
    expect(result.images).toHaveLength(1);
    expect(result.stepsExecuted).toBe(2);
  });
});
