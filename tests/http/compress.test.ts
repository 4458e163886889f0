import { request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** Reads an answer as it comes: `fetch` would unpack it. */
function read(path: string, accept: string, method = 'GET', body = '') {
  const { port } = new URL(server.url);
  const headers = { 'Accept-Encoding': accept, 'Content-Type': 'application/json' };
  return new Promise<{ headers: Record<string, unknown>; bytes: Buffer }>((resolve, reject) => {
    const client = request({ port, path, method, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ headers: response.headers, bytes: Buffer.concat(parts) }));
    });
    client.on('error', reject);
    client.end(body);
  });
}

describe('gzip', () => {
  it('is used for answers of 1,000 bytes and more', async () => {
    const plain = await read('/sdapi/v1/samplers', 'identity');
    const packed = await read('/sdapi/v1/samplers', 'gzip, deflate');
    expect(plain.headers).not.toHaveProperty('content-encoding');
    expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip' });
    expect(String(packed.headers.vary)).toContain('Accept-Encoding');
    expect(Number(packed.headers['content-length'])).toBe(packed.bytes.length);
    expect(packed.bytes.length).toBeLessThan(plain.bytes.length / 2);
    expect(gunzipSync(packed.bytes).equals(plain.bytes)).toBe(true);
  });

  it('is not used for short answers, nor for pictures', async () => {
    const short = await read('/internal/ping', 'gzip');
    expect(short.headers).not.toHaveProperty('content-encoding');
    server.engine.work = async () => ({ images: [Buffer.alloc(600_000)] });
    const large = await read('/sdapi/v1/txt2img', 'gzip', 'POST', '{}');
    expect(large.bytes.length).toBeGreaterThan(800_000);
    expect(large.headers).not.toHaveProperty('content-encoding');
  });

  it('leaves files and the text of errors readable', async () => {
    const script = await read('/docs/swagger-ui.css', 'gzip');
    const css =
      script.headers['content-encoding'] === 'gzip' ? gunzipSync(script.bytes) : script.bytes;
    expect(css.toString()).toContain('.swagger-ui');
    const body = JSON.stringify({ steps: 'x'.repeat(2_000) });
    const refused = await read('/sdapi/v1/txt2img', 'gzip', 'POST', body);
    const text =
      refused.headers['content-encoding'] === 'gzip' ? gunzipSync(refused.bytes) : refused.bytes;
    expect(JSON.parse(text.toString())).toHaveProperty('detail');
  });

  it('is not used where the client refuses it', async () => {
    const refused = await read('/sdapi/v1/options', 'gzip;q=0');
    expect(refused.headers).not.toHaveProperty('content-encoding');
  });
});

describe('the log of requests', () => {
  it('tells known fields, and of unknown ones only how many there are', async () => {
    server.logged.length = 0;
    await server.post('/sdapi/v1/txt2img', {
      prompt: 'a secret garden',
      steps: 7,
      auth: 'hunter2',
      styles: ['a', 'b'],
    });
    const line = server.logged.map((text) => JSON.parse(text)).find(({ msg }) => msg === 'request');
    expect(line).toMatchObject({
      path: '/sdapi/v1/txt2img',
      body: { prompt: '[redacted]', steps: 7, styles: '[2 items]' },
      unknownFields: 1,
    });
    expect(server.logged.join()).not.toContain('hunter2');
    expect(server.logged.join()).not.toContain('secret garden');
  });
});
