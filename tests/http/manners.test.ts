import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** Sends a path exactly as written; `fetch` would tidy it. */
function raw(path: string, method = 'GET'): Promise<{ status: number; text: string }> {
  const { port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const client = request({ host: '127.0.0.1', port, path, method }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    client.on('error', reject);
    client.end();
  });
}

describe('paths', () => {
  it.each(['//sdapi/v1/samplers', '/sdapi/v1/samplers/', '//sdapi//v1//samplers//?a=//b'])(
    'reads %s as users mean it',
    async (path) => {
      const { status, text } = await raw(path);
      expect(status).toBe(200);
      expect(JSON.parse(text)[0].name).toBe('DPM++ 2M');
    },
  );

  it.each(['/config', '/user', '/sdapi/v1/nothing', '/.env', '/%2e%2e/etc/passwd', '/docs/none'])(
    'answers 404 as FastAPI does to %s',
    async (path) => {
      const { status, text } = await raw(path);
      expect(status).toBe(404);
      expect(JSON.parse(text)).toEqual({ detail: 'Not Found' });
    },
  );

  it('answers 405 as FastAPI does, with the methods that are allowed', async () => {
    const response = await server.get('/sdapi/v1/txt2img');
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
    expect(await response.json()).toEqual({ detail: 'Method Not Allowed' });
    const deleted = await server.get('/sdapi/v1/options', { method: 'DELETE' });
    expect(deleted.headers.get('allow')).toBe('GET, POST');
  });

  it('survives addresses that cannot be decoded', async () => {
    const { status } = await raw('/sdapi/v1/%zz');
    expect(status).toBeLessThan(500);
  });
});

describe('the root', () => {
  it('is a page for browsers and JSON for programs', async () => {
    const page = await server.get('/', { headers: { Accept: 'text/html,*/*;q=0.8' } });
    expect(page.headers.get('content-type')).toContain('text/html');
    const data = await server.get('/');
    expect(await data.json()).toMatchObject({ name: 'sdserve', docs: '/docs' });
    expect((await raw('/', 'HEAD')).status).toBe(200);
  });
});

describe('headers', () => {
  it('tell the time, and forbid everything in answers', async () => {
    const response = await server.get('/internal/ping');
    expect(response.headers.get('x-process-time')).toMatch(/^\d+\.\d{4}$/);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(response.headers.get('x-powered-by')).toBeNull();
  });

  it.each(['Basic', '', 'Bearer x', 'Basic Og=='])(
    'tolerate Authorization %j when no user is set',
    async (authorization) => {
      const response = await server.get('/sdapi/v1/samplers', {
        headers: { Authorization: authorization },
      });
      expect(response.status).toBe(200);
    },
  );
});

describe('answers to controls', () => {
  it.each([
    ['/sdapi/v1/interrupt', {}],
    ['/sdapi/v1/skip', null],
    ['/sdapi/v1/refresh-checkpoints', null],
    ['/sdapi/v1/refresh-vae', null],
    ['/sdapi/v1/unload-checkpoint', {}],
    ['/sdapi/v1/reload-checkpoint', {}],
  ])('%s is always JSON, with no body, an empty text, or an object', async (path, answer) => {
    for (const body of [undefined, '""', {}]) {
      const response = await server.post(path, body);
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual(answer);
    }
  });
});
