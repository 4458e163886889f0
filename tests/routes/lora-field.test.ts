/** LoRAs of a request: the `lora` field, and names that nobody has. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';

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

  it('a LoRA that does not exist is a 404 where the options say so', async () => {
    const prompt = 'a cat<lora:nowhere:1>';
    expect((await draw({ prompt })).response.status).toBe(200);
    const override_settings = { sdserve_missing_lora: 'error' };
    const { response, answer } = await draw({ prompt, override_settings });
    expect(response.status).toBe(404);
    expect(answer).toMatchObject({ detail: 'Networks not found: nowhere' });
    expect((await draw({ prompt: 'a cat', override_settings })).response.status).toBe(200);
  });

  it('refuses a LoRA name that would end its tag', async () => {
    const { response } = await draw({ lora: [{ name: 'a:1><lora:b' }] });
    expect(response.status).toBe(400);
  });
});
