import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { readFixture } from '../images/fixture.ts';

const PREFIX = '/sd_extra_networks';

let server: TestServer;
let loraDir: string;

/** A file of one number with metadata. */
function writeModel(path: string, metadata: Record<string, string>): void {
  const tensor = { dtype: 'F32', shape: [], data_offsets: [0, 4] };
  const header = Buffer.from(
    JSON.stringify({ __metadata__: metadata, 'lora_unet_x.alpha': tensor }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([length, header, Buffer.alloc(4)]));
}

beforeAll(async () => {
  server = await startTestServer();
  loraDir = join(server.folder, 'models', 'Lora');
  const checkpointDir = join(server.folder, 'models', 'Stable-diffusion');
  mkdirSync(loraDir, { recursive: true });
  const cover = readFixture('rgb.png').toString('base64');
  writeModel(join(loraDir, 'ink.safetensors'), {
    ss_base_model_version: 'sd_v1',
    ss_tag_frequency: '{"a":{"ink":3}}',
    ssmd_cover_images: JSON.stringify([cover, 'aGVsbG8=', '%%%', 7]),
  });
  writeModel(join(loraDir, '"><img src=x>.safetensors'), {});
  writeFileSync(join(loraDir, 'plain.preview.png'), readFixture('rgb.png'));
  writeModel(join(loraDir, 'plain.safetensors'), {});
  writeModel(join(checkpointDir, 'told.safetensors'), { author: 'somebody' });
  writeFileSync(join(server.folder, 'secret.png'), 'secret');
  writeFileSync(join(loraDir, 'notes.txt'), 'notes');
  symlinkSync(join(server.folder, 'secret.png'), join(loraDir, 'link.png'));
  mkdirSync(join(server.folder, 'models', 'Lora-2'));
  writeFileSync(join(server.folder, 'models', 'Lora-2', 'near.png'), 'near');
  await server.post('/sdapi/v1/refresh-loras');
  await server.post('/sdapi/v1/refresh-checkpoints');
});
afterAll(() => server.close());

const ask = (path: string, query: Record<string, string>) =>
  server.get(`${PREFIX}/${path}?${new URLSearchParams(query)}`);

async function read(path: string, query: Record<string, string>) {
  const response = await ask(path, query);
  expect(response.status).toBe(200);
  return (await response.json()) as { metadata?: string; html?: string };
}

describe('a thumb', () => {
  it('is the picture beside a model', async () => {
    const response = await ask('thumb', { filename: join(loraDir, 'plain.preview.png') });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('image/png');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(readFixture('rgb.png'));
  });

  it.each([
    ['nothing', () => ''],
    ['a file that is not there', () => join(loraDir, 'gone.png')],
    ['a file that is no picture', () => join(loraDir, 'ink.safetensors')],
    ['a text in the folder', () => join(loraDir, 'notes.txt')],
    ['a picture elsewhere', () => join(server.folder, 'secret.png')],
    ['the way out', () => `${loraDir}/../../secret.png`],
    ['a link that leads out', () => join(loraDir, 'link.png')],
    ['a folder whose name begins the same', () => join(server.folder, 'models/Lora-2/near.png')],
    ['the folder itself', () => loraDir],
    ['a path with a NUL', () => join(loraDir, 'plain.preview.png\0.png')],
  ])('is never %s', async (_, path) => {
    const response = await ask('thumb', { filename: path() });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ detail: 'File not found' });
  });
});

describe('covers', () => {
  it('come out of the metadata as they are', async () => {
    const response = await ask('cover-images', { page: 'lora', item: 'ink' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('image/png');
    expect(Buffer.from(await response.arrayBuffer())).toEqual(readFixture('rgb.png'));
  });

  it.each([
    ['beyond the list', { page: 'lora', item: 'ink', index: '4' }, 404],
    ['that are no pictures', { page: 'lora', item: 'ink', index: '1' }, 404],
    ['that are no base64', { page: 'lora', item: 'ink', index: '2' }, 404],
    ['of a file without any', { page: 'lora', item: 'plain' }, 404],
    ['of an unknown file', { page: 'lora', item: 'none' }, 404],
    ['of an unknown page', { page: 'nothing', item: 'ink' }, 404],
    ['by a number that is none', { page: 'lora', item: 'ink', index: 'x' }, 422],
  ])('%s are a %s', async (_, query, status) => {
    expect((await ask('cover-images', query)).status).toBe(status);
  });
});

describe('metadata', () => {
  it('of a LoRA are told without its covers', async () => {
    const { metadata } = await read('metadata', { page: 'Lora', item: 'ink' });
    expect(JSON.parse(metadata ?? '')).toEqual({
      ss_base_model_version: 'sd_v1',
      ss_tag_frequency: { a: { ink: 3 } },
    });
  });

  it('of a checkpoint are told', async () => {
    const { metadata } = await read('metadata', { page: 'checkpoints', item: 'told' });
    expect(JSON.parse(metadata ?? '')).toEqual({ author: 'somebody' });
  });

  it.each([
    { page: 'lora', item: 'plain' },
    { page: 'lora', item: 'none' },
    { page: 'hypernetworks', item: 'ink' },
    // Its file is no safetensors file at all.
    { page: 'checkpoints', item: 'tiny' },
  ])('are an empty object for %j', async (query) => {
    expect(await read('metadata', query)).toEqual({});
  });
});

describe('a card', () => {
  it('shows the preview beside the file, which can be fetched', async () => {
    const { html } = await read('get-single-card', { page: 'lora', name: 'plain' });
    const address = /src="\.(\/sd_extra_networks\/thumb\?[^"]*)"/.exec(html ?? '')?.[1] ?? '';
    expect((await server.get(address.replaceAll('&amp;', '&'))).status).toBe(200);
  });

  it('shows the cover in the file, which can be fetched', async () => {
    const { html } = await read('get-single-card', { page: 'lora', name: 'ink' });
    const address = /src="\.(\/sd_extra_networks\/[^"]*)"/.exec(html ?? '')?.[1] ?? '';
    expect(address).toContain('cover-images');
    expect((await server.get(address.replaceAll('&amp;', '&'))).status).toBe(200);
  });

  it('is no way to write HTML', async () => {
    const { html } = await read('get-single-card', { page: 'lora', name: '"><img src=x>' });
    expect(html).toContain('data-name="&quot;&gt;&lt;img src=x&gt;"');
    expect(html).not.toContain('<img');
  });

  it('of nothing is a 404', async () => {
    expect((await ask('get-single-card', { page: 'lora', name: 'none' })).status).toBe(404);
  });
});
