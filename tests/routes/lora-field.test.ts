/** LoRAs of a request: the `lora` field, and names that nobody has. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { writeTensorFile } from '../lora/write-tensors.ts';

const HIRES = { enable_hr: true, denoising_strength: 0.5 };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ checkpoints: ['tiny.safetensors'] });
});
afterAll(() => server.close());

async function draw(body: object) {
  const response = await server.post('/sdapi/v1/txt2img', body);
  return { response, answer: await response.json(), job: server.engine.jobs.at(-1)! };
}

describe('LoRAs of a request', () => {
  it('adds the LoRAs of the lora field to the prompt', async () => {
    const { job } = await draw({
      prompt: 'a cat',
      lora: [{ path: 'styles/ink.safetensors', multiplier: '1.5' }, { name: 'wet' }],
    });
    expect(job.prompt).toBe('a cat<lora:ink:1.5><lora:wet:1>');
  });

  it('takes the keys of a tag and a weight for each picture in the lora field', async () => {
    const { job } = await draw({
      prompt: 'a cat',
      lora: [
        { name: 'ink', unet: '0@0,1.5@0.5', te: 0, stop: 0.5, hr: '0' },
        { name: 'wet', multipliers: [1, -2.5], lbw: 'OUTALL' },
      ],
    });
    expect(job.prompt).toBe(
      'a cat<lora:ink:1:te=0:unet=0@0,1.5@0.5:stop=0.5:hr=0><lora:wet:1:unet=1|-2.5:lbw=OUTALL>',
    );
    const { response } = await draw({ lora: [{ name: 'ink', te: '1:dyn=3' }] });
    expect(response.status).toBe(400);
  });

  it('takes the file of a path where two have its name, and any finite weight', async () => {
    const folder = join(server.folder, 'models', 'Lora');
    const files = ['twin.safetensors', 'b/twin.safetensors', 'c/twin.safetensors'];
    for (const file of files) {
      writeTensorFile(join(folder, file), { 'lora_unet_x.diff': { shape: [2] } });
    }
    await server.context.loras.refresh();
    const { job } = await draw({
      lora: [
        { path: 'c/twin.safetensors', multiplier: -150 },
        { path: join(folder, 'b', 'twin.safetensors') },
        { path: 'C:\\elsewhere\\twin.safetensors', multiplier: 1e30 },
      ],
    });
    expect(job.prompt).toBe('<lora:c/twin:-150><lora:b/twin:1><lora:twin:1e+30>');
    const paths = ['c/twin', 'b/twin', 'twin'].map((name) => join(folder, `${name}.safetensors`));
    expect(job.loras.map(({ path }) => path)).toEqual(paths);
    for (const multiplier of ['NaN', 'Infinity', 1e39]) {
      expect((await draw({ lora: [{ name: 'twin', multiplier }] })).response.status).toBe(422);
    }
  });

  it('a LoRA that does not exist is a 404 where the options say so', async () => {
    const prompt = 'a cat<lora:nowhere:1>';
    expect((await draw({ prompt })).response.status).toBe(200);
    const override_settings = { sdserve_missing_lora: 'error' };
    const { response, answer } = await draw({ prompt, override_settings });
    expect(response.status).toBe(404);
    expect(answer).toMatchObject({ detail: 'Networks not found: nowhere' });
    expect((await draw({ prompt: 'a cat', override_settings })).response.status).toBe(200);
    const off = { prompt, override_settings, disable_extra_networks: true };
    expect((await draw(off)).response.status).toBe(200);
    const second = { prompt: 'a cat', hr_prompt: prompt, ...HIRES, override_settings };
    expect((await draw(second)).response.status).toBe(404);
  });

  it('is of both passes of a hires request, whatever their prompts; tags are of their own', async () => {
    const { job } = await draw({
      ...{ prompt: 'a cat<lora:wet:2>', hr_prompt: 'a dog', ...HIRES },
      lora: [{ name: 'ink', multiplier: 4 }],
    });
    expect(job.prompt).toBe('a cat<lora:wet:2><lora:ink:4>');
    expect(job).toMatchObject({ hires: { prompt: 'a dog<lora:ink:4>' } });
  });

  it.each(['a:1><lora:b', 'a=b', 'te=0'])(
    'refuses the name %s, which is none in a tag',
    async (name) => {
      const { response } = await draw({ lora: [{ name }] });
      expect(response.status).toBe(400);
    },
  );
});
