import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ flags: ['--api-auth', 'ann:s3cret,bob:pass:word'] });
});
afterAll(() => server.close());

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

async function ask(authorization: string | null, path = '/sdapi/v1/samplers') {
  const headers: Record<string, string> =
    authorization === null ? {} : { Authorization: authorization };
  return server.get(path, { headers });
}

describe('Basic authentication', () => {
  it.each(['ann:s3cret', 'bob:pass:word'])('lets %s in', async (text) => {
    expect((await ask(basic(text))).status).toBe(200);
    expect((await ask(basic(text).replace('Basic', 'basic'))).status).toBe(200);
  });

  it.each([
    null,
    '',
    'Basic',
    'Basic ',
    'Bearer abc',
    'Digest username="ann"',
    's3cret',
    'Basic ann:s3cret',
    'Basic !!!',
    basic(''),
    basic(':'),
    basic('ann'),
    basic('ann:'),
    basic('ann:s3cre'),
    basic('ann:s3cret '),
    basic('ann:s3cret\n'),
    basic(' ann:s3cret'),
    basic('Ann:s3cret'),
    basic('ann:S3cret'),
    basic('bob:pass'),
    basic('bob:s3cret'),
    basic('ann:pass:word'),
    basic('ann:s3cret,bob:pass:word'),
    basic('s3cret:ann'),
    `${basic('ann:s3cret')}, ${basic('ann:s3cret')}`,
    `${basic('ann:s3cret')}x`,
    basic('ann\u0000:s3cret'),
    basic('undefined:undefined'),
    basic('__proto__:x'),
  ])('keeps %j out', async (authorization) => {
    // The delay after many failures belongs to another test.
    const response = await ask(authorization);
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toContain('Basic realm=');
    const body = (await response.json()) as Record<string, unknown>;
    expect(body).toMatchObject({ error: 'HTTPException', body: '', errors: '' });
    expect(['Not authenticated', 'Incorrect username or password']).toContain(body.detail);
    expect(body.message).toBe(body.detail);
    // A right answer forgets the failures of this address.
    await ask(basic('ann:s3cret'));
  });

  it('guards every path but liveness', async () => {
    expect((await ask(null, '/health')).status).toBe(200);
    for (const path of ['/', '/docs/', '/openapi.json', '/metrics', '/internal/ping', '/none']) {
      expect((await ask(null, path)).status).toBe(401);
    }
    await ask(basic('ann:s3cret'));
  });

  it('reads no body before the password', async () => {
    const response = await server.post('/sdapi/v1/txt2img', '{"broken');
    expect(response.status).toBe(401);
  });

  it('holds refusals back after ten failures of an address', async () => {
    await ask(basic('ann:s3cret'));
    for (let i = 0; i < 10; i++) await ask(basic('ann:wrong'));
    const began = performance.now();
    expect((await ask(basic('ann:wrong'))).status).toBe(401);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect((await ask(basic('ann:s3cret'))).status).toBe(200);
  });

  it('writes no password into the log', () => {
    const log = server.logged.join('\n');
    for (const secret of ['s3cret', 'pass:word', basic('ann:s3cret').slice(6)]) {
      expect(log).not.toContain(secret);
    }
  });

  it('tells no password in the flags', async () => {
    const response = await ask(basic('ann:s3cret'), '/sdapi/v1/cmd-flags');
    expect(await response.text()).not.toContain('s3cret');
  });
});
