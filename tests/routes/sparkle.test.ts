import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { decodeImage } from '../../images/decode.ts';
import { encodeImage } from '../../images/encode.ts';
import type { Img2ImgJob } from '../../pipelines/job.ts';
import { planSteps } from '../../pipelines/sampling/plan.ts';
import { decideNumbers, decideSize } from '../../routes/sparkle-plan.ts';
import { addLora, startTestServer, type TestServer } from '../http/test-server.ts';

const PATH = '/sdapi/v1/sparkle';
const INFOTEXT =
  'a red boat, <lora:spo:1.2> <lora:ink:0.5>\nNegative prompt: blurry\n' +
  'Steps: 20, Sampler: DDIM, CFG scale: 7.0, Seed: 5, Size: 512x512';

interface Answer {
  images: string[];
  parameters: Record<string, unknown>;
  info: string;
  decisions: Record<string, unknown>;
  detail: string;
}

let server: TestServer;
let image: string;

/** A dark picture with one bright spot, as base64. */
async function makePicture(width: number, height: number, text: string | null): Promise<string> {
  const rgb = new Uint8Array(width * height * 3).fill(40);
  for (let y = 20; y < 30; y++) rgb.fill(250, (y * width + 50) * 3, (y * width + 60) * 3);
  const file = await encodeImage({ width, height, rgb }, { format: 'png', quality: 80 }, text);
  return file.toString('base64');
}

beforeAll(async () => {
  server = await startTestServer();
  addLora(server, 'SPO-SDXL_4k-p_10ep_LoRA_webui');
  addLora(server, 'spo');
  addLora(server, 'spotlight');
  await server.post('/sdapi/v1/refresh-loras');
  image = await makePicture(200, 100, INFOTEXT);
});
afterAll(() => server.close());
beforeEach(() => {
  server.engine.jobs.length = 0;
});

async function polish(body: object) {
  const response = await server.post(PATH, { image, ...body });
  const answer = (await response.json()) as Answer;
  return { response, answer, job: server.engine.jobs.at(-1) as Img2ImgJob };
}

describe('a sparkle pass', () => {
  it('decides everything that the request leaves open', async () => {
    const { response, answer, job } = await polish({});
    expect(response.status).toBe(200);
    expect(answer.decisions).toEqual({
      lora: 'spo',
      weight: 4.7,
      denoising_strength: 0.28,
      steps: 40,
      steps_executed: 12,
      prompt_from: 'picture',
      mask: 'none',
      width: 200,
      height: 104,
    });
    expect(job).toMatchObject({
      kind: 'img2img',
      prompt: 'a red boat,  <lora:ink:0.5><lora:spo:4.7>',
      negativePrompt: 'blurry',
      denoisingStrength: 0.28,
      steps: 40,
      cfgScale: 5,
      sampler: 'Euler a',
      mask: null,
      resizeMode: 0,
    });
    expect(planSteps(job).stepsExecuted).toBe(12);
  });

  it('answers the img2img request that does the same', async () => {
    const first = await polish({ auto_mask: true, seed: -1 });
    const again = await server.post('/sdapi/v1/img2img', {
      ...first.answer.parameters,
      init_images: [image],
    });
    expect(again.status).toBe(200);
    // The hash of the LoRA may have become known in between.
    const loras = [expect.objectContaining({ name: 'spo' })];
    expect(server.engine.jobs.at(-1)).toEqual({ ...first.job, loras });
  });

  it('takes exact fields instead of its own decisions', async () => {
    const { answer, job } = await polish({
      prompt: 'mine',
      negative_prompt: '',
      lora: 'SPO-SDXL_4k-p_10ep_LoRA_webui',
      weight: -1.5,
      denoising_strength: 0.2,
      steps: 60,
      sampler_name: 'DDIM',
      cfg_scale: 3,
      seed: 7,
      width: 512,
      height: 256,
    });
    expect(answer.decisions).toMatchObject({
      weight: -1.5,
      steps_executed: 11,
      prompt_from: 'request',
    });
    expect(job).toMatchObject({
      prompt: 'mine<lora:SPO-SDXL_4k-p_10ep_LoRA_webui:-1.5>',
      negativePrompt: '',
      seed: 7,
      steps: 60,
      width: 512,
      height: 256,
      sampler: 'DDIM',
      cfgScale: 3,
    });
  });

  it('is the same under img2img_fix_steps', async () => {
    const { job } = await polish({ override_settings: { img2img_fix_steps: true } });
    expect(job).toMatchObject({ exactSteps: false, steps: 40 });
  });

  it('takes a mask, or makes one of what is bright', async () => {
    const sent = await polish({ mask: image });
    expect(sent.answer.decisions.mask).toBe('request');
    expect(sent.job.mask).toMatchObject({ rounds: false, fill: 'original', onlyMasked: false });
    const { answer, job } = await polish({ auto_mask: true });
    expect(answer.decisions.mask).toBe('highlights');
    const mask = await decodeImage(job.mask?.image as Uint8Array);
    const at = (x: number, y: number) => mask.data[(y * mask.width + x) * 3]!;
    expect(at(55, 25)).toBeGreaterThan(200);
    expect(at(150, 80)).toBeLessThan(16);
  });

  it('says that a picture without text gave no prompt', async () => {
    const plain = await makePicture(64, 64, null);
    const { answer, job } = await polish({ image: plain });
    expect(answer.decisions.prompt_from).toBe('nothing');
    expect(job.prompt).toBe('<lora:spo:4.7>');
  });

  it.each([
    ['no picture', { image: undefined }, 422],
    ['a picture that is none', { image: 'aGVsbG8=' }, 422],
    ['an unknown LoRA', { lora: 'nothing' }, 404],
    ['an unknown sampler', { sampler_name: 'nothing' }, 400],
    ['a strength beyond 1', { strength: 2 }, 422],
  ])('refuses %s', async (_, body, status) => {
    const { response, job } = await polish(body);
    expect(response.status).toBe(status);
    expect(job).toBeUndefined();
  });
});

describe('the numbers', () => {
  const open = {
    strength: 0.5,
    weight: null,
    denoising_strength: null,
    steps: null,
    executed_steps: 12,
  };
  const sampler = { sampler: 'Euler', scheduler: 'Automatic' };

  it.each([
    [0, 0.2, 3],
    [0.5, 0.28, 4.7],
    [1, 0.35, 5],
  ])('of strength %f are noise %f and weight %f', (strength, denoisingStrength, weight) => {
    expect(decideNumbers({ ...open, strength }, sampler, 'base')).toMatchObject({
      denoisingStrength,
      weight,
      stepsExecuted: 12,
    });
  });

  it('lower the weight where large steps would run, and raise it for models that take more', () => {
    const weigh = (denoising_strength: number, checkpoint = 'base') =>
      decideNumbers({ ...open, denoising_strength, strength: 1 }, sampler, checkpoint).weight;
    expect([0.1, 0.2, 0.35, 0.7, 1].map((value) => weigh(value))).toEqual([8, 8, 5, 3.2, 1.6]);
    expect(weigh(0.35, 'ponyDiffusionV6')).toBe(6.3);
    expect(weigh(0.2, 'Illustrious-XL')).toBe(8);
  });

  it('never ask for more steps than a request may', () => {
    const numbers = decideNumbers({ ...open, denoising_strength: 0.02 }, sampler, 'base');
    expect(numbers.steps).toBe(150);
    expect(numbers.stepsExecuted).toBe(4);
  });

  it.each([
    [512, 512, 512, 512],
    [500, 333, 504, 336],
    [5000, 2500, 4096, 2048],
    [1, 1, 64, 64],
    [4000, 30, 4096, 64],
  ])('draw %ix%i at %ix%i', (width, height, ...sides) => {
    const size = decideSize({ width: null, height: null }, { width, height });
    expect([size.width, size.height]).toEqual(sides);
  });
});
