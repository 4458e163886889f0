import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';

const TEXT = `a red boat, <lora:x:0.5>
Negative prompt: blurry, grey
Steps: 23, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 77, Size: 320x192, \
Model: other, Clip skip: 2, ENSD: 31337, RNG: CPU, Variation seed: 5, Variation seed strength: 0.25, Version: v1.10.1`;

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.engine.jobs.length = 0;
});

async function draw(body: object) {
  const response = await server.post('/sdapi/v1/txt2img', body);
  const answer = (await response.json()) as { parameters: Record<string, unknown> };
  return {
    status: response.status,
    parameters: answer.parameters,
    job: server.engine.jobs.at(-1)!,
  };
}

describe('infotext', () => {
  it('fills every field that the request leaves out', async () => {
    const { status, parameters, job } = await draw({ infotext: TEXT });
    expect(status).toBe(200);
    expect(job).toMatchObject({
      negativePrompt: 'blurry, grey',
      steps: 23,
      sampler: 'DPM++ 2M',
      scheduler: 'Karras',
      cfgScale: 6.5,
      seed: 77,
      width: 320,
      height: 192,
      subseed: 5,
      subseedStrength: 0.25,
    });
    expect(job.prompt).toContain('a red boat');
    expect(job.options).toMatchObject({
      clipSkip: 2,
      etaNoiseSeedDelta: 31_337,
      noiseSource: 'CPU',
    });
    expect(parameters).toMatchObject({ steps: 23, width: 320, sampler_name: 'DPM++ 2M' });
  });

  it('takes HyperTile over, for this job only', async () => {
    const tiled =
      'x\nSteps: 5, Sampler: Euler, Seed: 1, Size: 64x64, Hypertile U-Net: True, Hypertile U-Net max ' +
      'tile size: 128, Hypertile VAE: True, Hypertile VAE swap size: 2, RNG: NV';
    const { job } = await draw({ infotext: tiled });
    expect(job.options).toMatchObject({
      hyperTile: {
        unet: { isEnabled: true, maxTile: 128, swapSize: 3 },
        vae: { isEnabled: true, swapSize: 2 },
      },
      noiseName: 'NV',
    });
    expect((await draw({})).job.options.hyperTile.unet.isEnabled).toBe(false);
  });

  it('replaces nothing that the request says, null included', async () => {
    const { job } = await draw({
      infotext: TEXT,
      steps: 4,
      prompt: null,
      seed: 1,
      override_settings: { CLIP_stop_at_last_layers: 3 },
    });
    expect(job).toMatchObject({ steps: 4, prompt: '', seed: 1, width: 320 });
    expect(job.options.clipSkip).toBe(3);
    expect(job.options.noiseSource).toBe('CPU');
  });

  it('puts options back that the text does not name, for this job only', async () => {
    await server.context.options.set({ CLIP_stop_at_last_layers: 2 });
    const { job, parameters } = await draw({
      infotext: 'x\nSteps: 5, Sampler: Euler, Seed: 1, Size: 64x64',
    });
    expect(job.options.clipSkip).toBe(1);
    expect(parameters.override_settings).toEqual({ CLIP_stop_at_last_layers: '1' });
    expect(server.context.options.all().CLIP_stop_at_last_layers).toBe(2);
    await server.context.options.set({ CLIP_stop_at_last_layers: 1 });
  });

  it('does not switch the hires pass on for the strength of an img2img', async () => {
    const { status } = await draw({
      infotext: 'x\nSteps: 5, Sampler: Euler, Seed: 1, Size: 64x64, Denoising strength: 0.5',
    });
    expect(status).toBe(200);
  });

  it('names the field when the text says something that cannot be', async () => {
    const response = await server.post('/sdapi/v1/txt2img', {
      infotext: 'x\nSteps: 5000, Sampler: Euler, Seed: 1, Size: 64x64',
    });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ detail: [{ loc: ['body', 'steps'] }] });
  });

  it.each([null, '', '   ', 'only a prompt', 5])('takes %j', async (infotext) => {
    expect((await draw({ infotext })).status).toBe(200);
  });
});
