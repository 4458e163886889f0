import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Txt2ImgJob } from '../../pipelines/job.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';

let server: TestServer;
let folder: string;

/** A safetensors file of metadata and one number. */
function writeLora(name: string, metadata: Record<string, string>): void {
  const header = Buffer.from(
    JSON.stringify({
      __metadata__: metadata,
      'lora_unet_x.alpha': { dtype: 'F32', shape: [], data_offsets: [0, 4] },
    }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(join(folder, name), Buffer.concat([length, header, Buffer.alloc(4)]));
}

beforeAll(async () => {
  server = await startTestServer();
  folder = join(server.folder, 'models', 'Lora');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeLora('spo.safetensors', { ss_output_name: 'Spo-SDXL', ss_tag_frequency: '{"a":{"b":1}}' });
  writeLora(join('sub', 'ink.safetensors'), {});
});
afterAll(() => server.close());
beforeEach(() => {
  server.engine.jobs.length = 0;
});

const draw = async (body: Record<string, unknown>): Promise<Txt2ImgJob> => {
  const answer = await server.post('/sdapi/v1/txt2img', { steps: 1, ...body });
  expect(answer.status).toBe(200);
  return server.engine.jobs.at(-1) as Txt2ImgJob;
};

it('lists what refresh finds, subfolders too, in the web UI’s shape', async () => {
  expect(await (await server.post('/sdapi/v1/refresh-loras')).json()).toBeNull();
  const items = (await (await server.get('/sdapi/v1/loras')).json()) as Record<string, unknown>[];
  expect(items.map(({ name, alias }) => [name, alias])).toEqual([
    ['spo', 'Spo-SDXL'],
    ['ink', 'ink'],
  ]);
  expect(items[0]).toEqual({
    name: 'spo',
    alias: 'Spo-SDXL',
    path: join(folder, 'spo.safetensors'),
    metadata: { ss_tag_frequency: { a: { b: 1 } }, ss_output_name: 'Spo-SDXL' },
  });
});

it('hands the files of the tags to the job, called as the tags call them', async () => {
  const job = await draw({ prompt: 'a <lora:Spo-SDXL:1.5> <lora:ink> <lora:nowhere:2>' });
  expect(job.loras.map(({ name, path }) => [name, path])).toEqual([
    ['Spo-SDXL', join(folder, 'spo.safetensors')],
    ['ink', join(folder, 'sub', 'ink.safetensors')],
  ]);
  expect(job.appliesNetworks).toBe(true);
});

it('takes LoRAs of the body field, as clients that build no prompts send them', async () => {
  const job = await draw({ prompt: 'a', lora: [{ path: 'spo.safetensors', multiplier: 1.5 }] });
  expect(job.prompt).toBe('a<lora:spo:1.5>');
  expect(job.loras.map(({ name }) => name)).toEqual(['spo']);
});

it('finds a file that was put there since, without a refresh', async () => {
  writeLora('late.safetensors', {});
  const job = await draw({ prompt: '<lora:late:1>' });
  expect(job.loras.map(({ name }) => name)).toEqual(['late']);
});

it('never makes a path of a name', async () => {
  writeFileSync(join(server.folder, 'outside.safetensors'), 'x');
  for (const name of ['../../outside', join(server.folder, 'outside'), '..', 'x'.repeat(10_000)])
    expect((await draw({ prompt: `<lora:${name}:1>` })).loras).toEqual([]);
});

it('switches all of them off on request', async () => {
  const job = await draw({ prompt: 'a <lora:spo:1>', disable_extra_networks: true });
  expect(job.appliesNetworks).toBe(false);
});
