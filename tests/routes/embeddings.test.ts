import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Txt2ImgJob } from '../../pipelines/job.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { writeTensorFile } from '../lora/write-tensors.ts';
import { fixtureCheckpoint } from '../networks/fixture.ts';

let server: TestServer;
let folder: string;
beforeAll(async () => {
  server = await startTestServer();
  folder = join(server.folder, 'embeddings');
  // The tiny SD 1 checkpoint's text encoder is 64 wide.
  const checkpoint = join(server.folder, 'models', 'Stable-diffusion', 'tiny.safetensors');
  copyFileSync(fixtureCheckpoint('sd15'), checkpoint);
  await server.post('/sdapi/v1/refresh-checkpoints');
  put('ugly', { emb_params: { shape: [2, 64] } });
  put('sub/xl', { clip_l: { shape: [1, 64] }, clip_g: { shape: [1, 64] } });
  writeFileSync(join(folder, 'old.pt'), 'nonsense');
});
afterAll(() => server.close());

const put = (name: string, tensors: Parameters<typeof writeTensorFile>[1]) =>
  writeTensorFile(join(folder, `${name}.safetensors`), tensors);

it('lists what refresh finds, by what the checkpoint can use', async () => {
  expect(await (await server.get('/sdapi/v1/embeddings')).json()).toEqual({
    loaded: {},
    skipped: {},
  });
  const refreshed = await server.post('/sdapi/v1/refresh-embeddings');
  expect([refreshed.status, await refreshed.json()]).toEqual([200, null]);
  const item = { step: null, sd_checkpoint: null, sd_checkpoint_name: null };
  expect(await (await server.get('/sdapi/v1/embeddings')).json()).toEqual({
    loaded: { ugly: { ...item, shape: 64, vectors: 2 } },
    skipped: { xl: { ...item, shape: 128, vectors: 1 } },
  });
  expect(server.logged.join()).toContain('old.pt');
});

it('hands jobs the files that their prompts may name, with hashes, without a refresh', async () => {
  put('late', { emb_params: { shape: [1, 64] } });
  const body = { steps: 1, prompt: 'a LATE fox', negative_prompt: '(ugly:1.2), old' };
  expect((await server.post('/sdapi/v1/txt2img', body)).status).toBe(200);
  const { embeddings } = server.engine.jobs.at(-1) as Txt2ImgJob;
  expect(embeddings.map(({ name, vectors }) => [name, vectors])).toEqual([
    ['late', 1],
    ['old', 0],
    ['ugly', 2],
  ]);
  expect(embeddings.map(({ hash }) => hash)).toEqual([
    expect.stringMatching(/^[0-9a-f]{12}$/),
    null,
    expect.stringMatching(/^[0-9a-f]{12}$/),
  ]);
  expect(embeddings[1]?.fault).toContain('pickle');
});
