import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { writeTensorFile } from '../lora/write-tensors.ts';

let server: TestServer;
let folder: string;
let lora: Buffer;
beforeAll(async () => {
  server = await startTestServer({ flags: ['--lora-upload'] });
  folder = join(server.folder, 'models', 'Lora');
  const source = join(server.folder, 'source.safetensors');
  writeTensorFile(source, { 'lora_unet_x.diff': { shape: [2] } }, { ss_output_name: 'Mine' });
  lora = readFileSync(source);
});
afterAll(() => server.close());
beforeEach(async () => {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    await server.context.loras.refresh();
    await fetch(`${server.url}/sdapi/v1/loras/${encodeURIComponent(name)}`, { method: 'DELETE' });
  }
});

function form(bytes: Buffer, filename: string, fields: Record<string, string> = {}): FormData {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  body.append('file', new Blob([new Uint8Array(bytes)]), filename);
  return body;
}
const send = (body: FormData | string, headers: Record<string, string> = {}, query = '') =>
  fetch(`${server.url}/sdapi/v1/loras${query}`, { method: 'POST', body, headers });
const remove = (name: string) =>
  fetch(`${server.url}/sdapi/v1/loras/${name}`, { method: 'DELETE' });

describe('without --lora-upload', () => {
  it('both are refused with a sentence, and nothing is written', async () => {
    const other = await startTestServer();
    try {
      const url = `${other.url}/sdapi/v1/loras`;
      const posted = await fetch(url, { method: 'POST', body: form(lora, 'x.safetensors') });
      const deleted = await fetch(`${url}/x`, { method: 'DELETE' });
      for (const response of [posted, deleted]) {
        expect(response.status).toBe(403);
        expect(await response.json()).toMatchObject({
          code: 'UPLOAD_DISABLED',
          detail: expect.stringContaining('--lora-upload'),
        });
      }
      expect(existsSync(join(other.folder, 'models', 'Lora'))).toBe(false);
    } finally {
      await other.close();
    }
  });
});

describe('an upload', () => {
  it('is listed at once and answered as the list shows it', async () => {
    const response = await send(form(lora, 'my lora.safetensors'));
    const body = (await response.json()) as { name: string };
    expect([response.status, body]).toEqual([
      200,
      {
        name: 'my lora',
        alias: 'Mine',
        path: join(folder, 'my lora.safetensors'),
        metadata: { ss_output_name: 'Mine' },
      },
    ]);
    expect(await (await server.get('/sdapi/v1/loras')).json()).toEqual([body]);
    expect(readFileSync(join(folder, 'my lora.safetensors'))).toEqual(lora);
    expect(readdirSync(folder)).toEqual(['my lora.safetensors']);
  });

  it('takes another name, and overwrites only when told', async () => {
    const named = form(lora, 'a.safetensors', { name: 'été' });
    expect(await (await send(named)).json()).toMatchObject({ name: 'été' });
    const again = await send(form(lora, 'a.safetensors', { name: 'été' }));
    expect([again.status, await again.json()]).toMatchObject([409, { code: 'FILE_EXISTS' }]);
    const field = form(lora, 'a.safetensors', { name: 'été', overwrite: 'true' });
    expect((await send(field)).status).toBe(200);
    const query = form(lora, 'a.safetensors', { name: 'été' });
    expect((await send(query, {}, '?overwrite=true')).status).toBe(200);
  });

  it.each([
    '../../x.safetensors',
    '/tmp/x.safetensors',
    '..\\x.safetensors',
    'CON.safetensors',
    `${'x'.repeat(10_000)}.safetensors`,
    'x.pt',
    '.x.safetensors',
  ])('called %s is refused, and nothing is written', async (name) => {
    // But for the hashes, which the server writes in its own time.
    const list = () =>
      (readdirSync(server.folder, { recursive: true }) as string[])
        .filter((path) => path !== 'models/Lora' && !path.startsWith('.cache'))
        .sort();
    const before = list();
    for (const body of [form(lora, name), form(lora, 'x.safetensors', { name })]) {
      const response = await send(body);
      const answer = (await response.json()) as { detail: unknown };
      expect([400, 422]).toContain(response.status);
      expect(JSON.stringify(answer).length).toBeLessThan(1_000);
    }
    expect(list()).toEqual(before);
  });

  it('with NUL in its name leaves nothing behind', async () => {
    const boundary = 'x';
    const text = [
      `--${boundary}`,
      'Content-Disposition: form-data; name="file"; filename="a\0b.safetensors"',
      '',
      lora.toString('latin1'),
      `--${boundary}--`,
      '',
    ].join('\r\n');
    const response = await fetch(`${server.url}/sdapi/v1/loras`, {
      method: 'POST',
      body: new Uint8Array(Buffer.from(text, 'latin1')),
      headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
    });
    expect(response.status).toBe(400);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each<[string, () => Buffer, RegExp]>([
    ['nonsense', () => Buffer.from('nonsense'), /x\.safetensors/],
    ['nothing', () => Buffer.alloc(0), /empty/],
    ['half a file', () => lora.subarray(0, lora.length - 1), /x\.safetensors/],
    ['a pickle', () => Buffer.from('\x80\x02ccollections\nOrderedDict\n.', 'latin1'), /pickle/],
    ['a web page', () => Buffer.from('<!doctype html><p>log in'), /web page/],
  ])('of %s is refused with the reason', async (_, bytes, reason) => {
    const response = await send(form(bytes(), 'x.safetensors'));
    const { detail, code } = (await response.json()) as { detail: string; code: string };
    expect([response.status, code]).toEqual([422, 'NOT_A_LORA']);
    expect(detail).toMatch(reason);
    expect(detail).not.toContain('.part');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('without a file, with two, or as JSON is refused', async () => {
    const none = new FormData();
    none.append('name', 'x');
    const two = form(lora, 'a.safetensors');
    two.append('file', new Blob(['x']), 'b.safetensors');
    const wrong = new FormData();
    wrong.append('lora', new Blob(['x']), 'b.safetensors');
    for (const body of [none, two, wrong]) expect((await send(body)).status).toBe(400);
    expect((await send('{}', { 'Content-Type': 'application/json' })).status).toBe(415);
    expect((await send('x', { 'Content-Type': 'multipart/form-data' })).status).toBe(400);
    expect(readdirSync(folder)).toEqual([]);
  });

  /** Begins an upload and sends half of it. */
  const begin = () => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.write(
      'POST /sdapi/v1/loras HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n' +
        'Content-Type: multipart/form-data; boundary=x\r\n\r\n' +
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.safetensors"\r\n\r\nhalf',
    );
    return socket;
  };

  it('that the client breaks off leaves nothing behind', async () => {
    const socket = begin();
    await vi.waitFor(() => expect(readdirSync(folder)).toHaveLength(1));
    expect(await (await server.get('/sdapi/v1/loras')).json()).toEqual([]);
    socket.destroy();
    await vi.waitFor(() => expect(readdirSync(folder)).toEqual([]));
  });

  it('beside two others is put off', async () => {
    const sockets = [begin(), begin()];
    await vi.waitFor(() => expect(readdirSync(folder)).toHaveLength(2));
    const third = await send(form(lora, 'x.safetensors'));
    expect([third.status, third.headers.get('retry-after')]).toEqual([429, '5']);
    for (const socket of sockets) socket.destroy();
    await vi.waitFor(() => expect(readdirSync(folder)).toEqual([]));
    await vi.waitFor(async () => {
      expect((await send(form(lora, 'x.safetensors', { overwrite: '1' }))).status).toBe(200);
    });
  });
});

describe('a removal', () => {
  it('takes names and paths below the folder, no aliases', async () => {
    mkdirSync(join(folder, 'sub'), { recursive: true });
    for (const name of ['a.safetensors', 'sub/b.safetensors', 'sub/c.safetensors']) {
      writeFileSync(join(folder, name), lora);
    }
    await server.context.loras.refresh();
    for (const name of ['Mine', 'nowhere', '..', '..%2F..%2Fsource', 'x'.repeat(5_000)]) {
      expect((await remove(name)).status).toBe(404);
    }
    for (const name of ['a', 'sub/b', 'sub%2Fc.safetensors']) {
      const response = await remove(name);
      expect([name, response.status]).toEqual([name, 200]);
    }
    expect(readdirSync(join(folder, 'sub'))).toEqual([]);
    expect(await (await server.get('/sdapi/v1/loras')).json()).toEqual([]);
    expect(existsSync(join(server.folder, 'source.safetensors'))).toBe(true);
  });
});
