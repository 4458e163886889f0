import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { LoraInspection } from '../../openapi/schemas/loras.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { writeTensorFile } from '../lora/write-tensors.ts';
import { fixtureCheckpoint, makeCached } from '../networks/fixture.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ checkpoints: ['tiny.safetensors'], vaes: ['fine.safetensors'] });
  const module = 'lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k';
  const tensors = {
    [`${module}.lora_up.weight`]: { shape: [8, 4] },
    [`${module}.lora_down.weight`]: { shape: [4, 768] },
  };
  const loras = join(server.folder, 'models', 'Lora');
  writeTensorFile(join(loras, 'sub', 'ink.safetensors'), tensors, { ss_output_name: 'Ink' });
  writeTensorFile(join(loras, 'emb.safetensors'), { emb_params: { shape: [1, 768] } });
  writeTensorFile(join(server.folder, 'models', 'Stable-diffusion', 'stray.safetensors'), tensors);
  writeTensorFile(join(server.folder, 'embeddings', 'ugly.safetensors'), {
    emb_params: { shape: [1, 768] },
  });
  writeFileSync(join(loras, 'sub', 'old.pt'), 'a pickle, or no pickle: it is never opened');
  await server.context.loras.refresh();
  await server.context.embeddings.refresh();
  await server.context.models.refresh();
});
afterAll(() => server.close());

const ask = async (name: string) => {
  const response = await server.get(`/sdapi/v1/loras/${name}`);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

it.each(['ink', 'Ink', 'sub/ink', 'sub%2Fink.safetensors'])('answers for %s', async (name) => {
  const { status, body } = await ask(name);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    name: 'ink',
    alias: 'Ink',
    folder: 'Lora',
    kind: 'lora',
    base_model: 'Stable Diffusion 1.x',
    advice: null,
  });
  // Equal means that nothing is undocumented.
  expect(LoraInspection.parse(body)).toEqual(body);
});

it('has the hashes once they are computed', async () => {
  await vi.waitFor(async () => {
    expect((await ask('ink')).body.hashes).toEqual({
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      autov2: expect.stringMatching(/^[0-9a-f]{10}$/),
      addnet: expect.stringMatching(/^[0-9a-f]{12}$/),
    });
  });
});

it('writes the tag as lora_preferred_name says', async () => {
  expect((await ask('ink')).body.tag).toBe('<lora:Ink:1>');
  await server.post('/sdapi/v1/options', { lora_preferred_name: 'Filename' });
  expect((await ask('ink')).body.tag).toBe('<lora:ink:1>');
});

it('tells what lies in the wrong folder, and where a file belongs', async () => {
  expect((await ask('emb')).body).toMatchObject({
    kind: 'embedding',
    tag: null,
    advice: 'It lies in the folder Lora and belongs into embeddings.',
  });
  expect((await ask('stray')).body).toMatchObject({
    kind: 'lora',
    folder: 'Stable-diffusion',
    advice: 'It lies in the folder Stable-diffusion and belongs into Lora.',
  });
  expect((await ask('ugly')).body).toMatchObject({ folder: 'embeddings', advice: null });
  expect((await ask('fine')).body).toMatchObject({ folder: 'VAE', kind: 'damaged' });
});

it.each(['old', 'old.pt', 'sub/old', 'sub/old.pt'])(
  'says of the pickle %s what it says',
  async (name) => {
    const { status, body } = await ask(name);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      folder: 'Lora',
      kind: 'pickle',
      tag: null,
      says: expect.stringContaining('.pt hold pickles'),
      advice: 'Convert it to .safetensors, or download it as such.',
    });
    expect(LoraInspection.parse(body)).toEqual(body);
  },
);

it('reads no tensors on request', async () => {
  const { body } = await ask('ink?strength=false');
  expect(body).toMatchObject({ suggested_weights: null, average_module_norm: null });
  expect((await server.get('/sdapi/v1/loras/ink?strength=2')).status).toBe(422);
});

it.each(['nowhere', '..%2F..%2Foutside', '%00', 'x'.repeat(5_000), '__proto__'])(
  'answers 404 for %s',
  async (name) => {
    const { status, body } = await ask(name);
    expect([status, body.code]).toEqual([404, 'LORA_NOT_FOUND']);
    expect(JSON.stringify(body).length).toBeLessThan(1_000);
  },
);

it('tells whether a LoRA fits the checkpoint in use', async () => {
  // The checkpoint of this server is no file that can be used.
  expect((await ask('ink')).body.checkpoint).toBeNull();
  const folder = join(server.folder, 'models', 'Stable-diffusion');
  copyFileSync(fixtureCheckpoint('sd15'), join(folder, 'real.safetensors'));
  const lora = { rank: 4, alpha: 4, strength: 0.5, textEncoder: true };
  copyFileSync(
    makeCached({ arch: 'tiny-sd15', seed: 5, lora }),
    join(server.folder, 'models', 'Lora', 'good.safetensors'),
  );
  await server.context.models.refresh();
  await server.context.loras.refresh();
  await server.post('/sdapi/v1/options', { sd_model_checkpoint: 'real' });
  const title = expect.stringContaining('real.safetensors');
  const good = (await ask('good')).body;
  expect(good.checkpoint).toEqual({
    title,
    fits: true,
    says: expect.stringMatching(/^All of its/),
  });
  expect(LoraInspection.parse(good)).toEqual(good);
  expect((await ask('ink')).body.checkpoint).toEqual({
    title,
    fits: false,
    says: expect.stringMatching(/^It is made for .*\.$/),
  });
});
