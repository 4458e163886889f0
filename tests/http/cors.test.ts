import { afterEach, describe, expect, it } from 'vitest';
import { MAX_BODY_BYTES } from '../../server/limits.ts';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;

afterEach(() => server.close());

function preflight(origin: string, path = '/sdapi/v1/txt2img') {
  return server.get(path, {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type, x-anything',
    },
  });
}

describe('without flags', () => {
  it('allows no page: preflights are refused, answers carry no origin', async () => {
    server = await startTestServer();
    const refused = await preflight('http://a.example');
    expect(refused.status).toBe(400);
    expect(await refused.text()).toBe('Disallowed CORS origin');
    const simple = await server.get('/sdapi/v1/samplers', {
      headers: { Origin: 'http://a.example' },
    });
    expect(simple.status).toBe(200);
    expect(simple.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('refuses what a foreign page sends without asking', async () => {
    server = await startTestServer();
    const headers = { Origin: 'http://a.example', 'Sec-Fetch-Site': 'cross-site' };
    const response = await server.post('/sdapi/v1/interrupt', undefined, { headers });
    expect(response.status).toBe(403);
    expect(server.engine.interrupts).toBe(0);
    const own = { 'Sec-Fetch-Site': 'same-origin' };
    expect((await server.post('/sdapi/v1/interrupt', undefined, { headers: own })).status).toBe(
      200,
    );
  });

  it('knows foreign forms by their origin where the browser tells nothing else', async () => {
    server = await startTestServer();
    const type = { 'Content-Type': 'text/plain' };
    const foreign = { ...type, Origin: 'http://a.example' };
    const refused = await server.get('/sdapi/v1/interrupt', { method: 'POST', headers: foreign });
    expect(refused.status).toBe(403);
    expect(server.engine.interrupts).toBe(0);
    const own = { ...type, Origin: server.url };
    const taken = await server.get('/sdapi/v1/interrupt', { method: 'POST', headers: own });
    expect(taken.status).toBe(200);
    const behind = { ...foreign, 'X-Forwarded-Host': 'a.example' };
    const proxied = await server.get('/sdapi/v1/interrupt', { method: 'POST', headers: behind });
    expect(proxied.status).toBe(200);
    // A shell around a web page: a desktop or phone program.
    const shell = { ...type, Origin: 'file://' };
    const also = await server.get('/sdapi/v1/interrupt', { method: 'POST', headers: shell });
    expect(also.status).toBe(200);
  });
});

describe('with origins', () => {
  const flags = [
    '--cors-allow-origins',
    'http://a.example, https://b.example:8443',
    '--cors-allow-origins-regex',
    'https://.*\\.c\\.example',
    '--api-auth',
    'u:p',
  ];

  it.each(['http://a.example', 'https://b.example:8443', 'https://x.c.example'])(
    'answers the preflight of %s without a password',
    async (origin) => {
      server = await startTestServer({ flags });
      const response = await preflight(origin);
      expect(response.status).toBe(200);
      expect(response.headers.get('access-control-allow-origin')).toBe(origin);
      expect(response.headers.get('access-control-allow-credentials')).toBe('true');
      expect(response.headers.get('access-control-allow-headers')).toBe('content-type, x-anything');
      expect(response.headers.get('access-control-allow-methods')).toContain('POST');
      expect(response.headers.get('access-control-max-age')).toBe('600');
      expect(response.headers.get('vary')).toContain('Origin');
    },
  );

  it.each([
    'https://a.example',
    'http://a.example.evil',
    'http://a.example:80',
    'https://c.example',
    'https://x.c.example.evil',
    'evil https://x.c.example',
    'null',
    '',
  ])('refuses the preflight of %j', async (origin) => {
    server = await startTestServer({ flags });
    expect((await preflight(origin)).status).toBe(400);
  });

  it('puts the headers on every status and path', async () => {
    server = await startTestServer({ flags });
    const authorization = `Basic ${btoa('u:p')}`;
    const headers = { Origin: 'http://a.example', Authorization: authorization };
    const json = { 'Content-Type': 'application/json' };
    const large = JSON.stringify({ x: 'x'.repeat(MAX_BODY_BYTES) });
    server.engine.work = () => Promise.reject(new Error('it fell over'));
    const statuses: number[] = [];
    for (const [path, init] of [
      ['/sdapi/v1/samplers', { headers }],
      ['/sdapi/v1/samplers', { headers: { Origin: headers.Origin } }],
      ['/none', { headers }],
      ['/docs', { headers, redirect: 'manual' as const }],
      ['/sdapi/v1/txt2img', { headers }],
      ['/sdapi/v1/txt2img', { headers, method: 'POST', body: 'x' }],
      ['/sdapi/v1/progress?skip_current_image=7', { headers }],
      ['/sdapi/v1/options', { headers: { ...headers, ...json }, method: 'POST', body: large }],
      ['/sdapi/v1/txt2img', { headers: { ...headers, ...json }, method: 'POST', body: '{}' }],
    ] as const) {
      const response = await server.get(path, init);
      statuses.push(response.status);
      expect(response.headers.get('access-control-allow-origin')).toBe('http://a.example');
      expect(response.headers.get('access-control-expose-headers')).toContain('X-Task-Id');
    }
    expect(statuses).toEqual([200, 401, 404, 307, 405, 415, 422, 413, 500]);
  });
});

describe('with *', () => {
  it('reflects any origin', async () => {
    server = await startTestServer({ flags: ['--cors-allow-origins', '*'] });
    const response = await preflight('http://any.example');
    expect(response.headers.get('access-control-allow-origin')).toBe('http://any.example');
    const headers = { Origin: 'http://any.example', 'Sec-Fetch-Site': 'cross-site' };
    expect((await server.post('/sdapi/v1/skip', undefined, { headers })).status).toBe(200);
  });
});
