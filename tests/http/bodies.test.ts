import { request } from 'node:http';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_BODY_BYTES, MAX_IMAGE_BODY_BYTES } from '../../server/limits.ts';
import { startTestServer, type TestServer } from './test-server.ts';

const TXT2IMG = '/sdapi/v1/txt2img';
const OPTIONS = '/sdapi/v1/options';
const JSON_TYPE = { 'Content-Type': 'application/json' };

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** Sends bytes as they are. */
async function send(
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = JSON_TYPE,
) {
  const response = await server.post(path, undefined, {
    headers,
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
  return { status: response.status, text: await response.text() };
}

/** A JSON text of exactly so many bytes. */
function textOfSize(bytes: number): string {
  const empty = '{"comments":{"a":""}}';
  return `{"comments":{"a":"${'x'.repeat(bytes - empty.length)}"}}`;
}

describe('sizes', () => {
  it('takes a body of exactly the limit and refuses one byte more', async () => {
    expect((await send(OPTIONS, textOfSize(MAX_BODY_BYTES))).status).toBe(200);
    const refused = await send(OPTIONS, textOfSize(MAX_BODY_BYTES + 1));
    expect(refused.status).toBe(413);
    expect(JSON.parse(refused.text)).toMatchObject({
      error: 'HTTPException',
      detail: `Expected a body of at most ${MAX_BODY_BYTES} bytes.`,
      code: 'BODY_TOO_LARGE',
    });
  });

  it('takes bodies with pictures on the routes of pictures only', async () => {
    const body = textOfSize(MAX_BODY_BYTES + 1);
    expect((await send(TXT2IMG, body)).status).toBe(200);
    expect((await send(`${TXT2IMG}/`, body)).status).toBe(200);
    expect((await send(TXT2IMG, textOfSize(MAX_IMAGE_BODY_BYTES + 1))).status).toBe(413);
  });

  it('refuses a body of 200 MB and keeps none of it', async () => {
    const before = process.memoryUsage().rss;
    const status = await new Promise<number>((resolve, reject) => {
      const chunk = Buffer.alloc(1024 * 1024, 0x20);
      const client = request(server.url + TXT2IMG, { method: 'POST', headers: JSON_TYPE });
      let left = 200;
      const write = () => {
        while (left > 0) {
          left -= 1;
          if (!client.write(chunk)) return client.once('drain', write);
        }
        return client.end();
      };
      client.on('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      client.on('error', reject);
      write();
    });
    expect(status).toBe(413);
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const)('counts the bytes that a %s bomb unpacks to', async (encoding, compress) => {
    const bomb = compress(Buffer.alloc(50 * 1024 * 1024, 0x20));
    const headers = { ...JSON_TYPE, 'Content-Encoding': encoding };
    expect((await send(OPTIONS, bomb, headers)).status).toBe(413);
    const honest = compress(Buffer.from('{"send_seed":true}'));
    expect((await send(OPTIONS, honest, headers)).status).toBe(200);
  });

  it.each([
    ['gzip', 'this is not gzip'],
    ['deflate', 'neither is this'],
    ['zip', '{}'],
  ])('answers 4xx to a body that is no %s', async (encoding, body) => {
    const { status } = await send(OPTIONS, body, { ...JSON_TYPE, 'Content-Encoding': encoding });
    expect([400, 415]).toContain(status);
  });
});

describe('syntax', () => {
  it.each([
    ['an empty object that ends early', '{'],
    ['a text that ends early', '{"prompt":"a'],
    ['a comma too many', '{"steps":1,}'],
    ['single quotes', "{'steps':1}"],
    ['NaN', '{"steps":NaN}'],
    ['a comment', '{/* */}'],
    ['two values', '{}{}'],
    ['a NUL', '{"prompt":"\u0000"}'],
    ['a lone continuation byte', Buffer.from([0x7b, 0x22, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['UTF-16 without a mark', Buffer.from('{"steps":1}', 'utf16le')],
    ['an odd UTF-16', Buffer.from([0xfe, 0xff, 0x00])],
    ['nothing but blanks', '   '],
    ['arrays 200,000 deep', '['.repeat(200_000)],
    ['closed arrays 65 deep', `{"comments":{"a":${'['.repeat(63)}${']'.repeat(63)}}}`],
    ['objects 40,000 deep', '{"a":'.repeat(40_000)],
  ])('answers 422 to %s', async (_name, body) => {
    const { status, text } = await send(OPTIONS, body);
    expect(status).toBe(422);
    const [fault] = JSON.parse(text).detail;
    expect(fault).toMatchObject({ type: 'value_error.jsondecode' });
    expect(fault.loc[0]).toBe('body');
  });

  it.each([
    ['a byte order mark', Buffer.from('\ufeff{"steps":1}')],
    ['UTF-16, little end first', Buffer.from('\ufeff{"steps":1}', 'utf16le')],
    ['UTF-16, big end first', Buffer.from('\ufeff{"steps":1}', 'utf16le').swap16()],
    ['duplicate keys', '{"steps":9,"steps":1}'],
    ['arrays 64 deep', `{"comments":{"a":${'['.repeat(62)}${']'.repeat(62)}}}`],
    ['brackets in a text', `{"prompt":"${'['.repeat(1_000)}\\"${'{'.repeat(1_000)}"}`],
    ['an escaped quote before brackets', '{"prompt":"\\\\","comments":{"b":"\\\\\\"[[["}}'],
    ['lone surrogates', '{"prompt":"\\ud800"}'],
    ['unknown keys of 10,000 characters', `{"${'k'.repeat(10_000)}":1}`],
    ['an unknown key of 10 MB', `{"${'k'.repeat(10_000_000)}":1}`],
  ])('reads %s', async (_name, body) => {
    expect((await send(TXT2IMG, body)).status).toBe(200);
  });

  it('counts the last of two equal keys', async () => {
    await send(TXT2IMG, '{"steps":9,"steps":3}');
    expect(server.engine.jobs.at(-1)?.steps).toBe(3);
  });

  it('refuses numbers that are infinite', async () => {
    const { status, text } = await send(TXT2IMG, '{"cfg_scale":1e400}');
    expect(status).toBe(422);
    expect(JSON.parse(text).detail[0]).toMatchObject({
      loc: ['body', 'cfg_scale'],
      msg: 'Expected number 0-100 for cfg_scale but received Infinity of type number.',
    });
  });

  it.each([
    ['[]', 'value is not a valid dict'],
    ['"text"', 'value is not a valid dict'],
    ['5', 'value is not a valid dict'],
    ['null', 'value is not a valid dict'],
  ])('answers 422 to %s where an object is expected', async (body, message) => {
    const { status, text } = await send(TXT2IMG, body);
    expect(status).toBe(422);
    expect(JSON.parse(text).detail[0]).toMatchObject({ loc: ['body'], msg: message });
  });

  it('answers 422 "field required" without a body', async () => {
    const response = await server.post(TXT2IMG);
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({
      detail: [{ loc: ['body'], msg: 'field required', type: 'value_error.missing' }],
    });
  });
});

describe('content types', () => {
  const POSTS = [TXT2IMG, OPTIONS, '/internal/progress', '/sdapi/v1/interrupt', '/sdapi/v1/skip'];

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'refuses %s on every route that takes a body, and queues nothing',
    async (type) => {
      const { length } = server.engine.jobs;
      const { interrupts } = server.engine;
      for (const path of POSTS) {
        // Endpoints that draw take forms; this is none, whatever its type says.
        const isForm = path === TXT2IMG && type.startsWith('multipart/');
        const { status } = await send(path, '{}', { 'Content-Type': type });
        expect([path, status]).toEqual([path, isForm ? 400 : 415]);
      }
      expect(server.engine.jobs).toHaveLength(length);
      expect(server.engine.interrupts).toBe(interrupts);
    },
  );

  it.each(['application/json; charset=utf-8', 'application/vnd.api+json', 'APPLICATION/JSON'])(
    'takes %s',
    async (type) => {
      expect((await send(TXT2IMG, '{}', { 'Content-Type': type })).status).toBe(200);
    },
  );

  it('takes a body without a type from a program, not from a page', async () => {
    expect(await sendUntyped({})).toBe(200);
    expect(await sendUntyped({ Origin: 'http://evil.example' })).toBe(403);
    expect(await sendUntyped({ Origin: server.url })).toBe(415);
  });

  async function sendUntyped(headers: Record<string, string>): Promise<number> {
    return new Promise((resolve, reject) => {
      const client = request(server.url + TXT2IMG, { method: 'POST', headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      client.on('error', reject);
      client.end('{}');
    });
  }
});

describe('prototype pollution', () => {
  const polluted = '{"__proto__":{"x":1},"constructor":{"prototype":{"x":1}}}';

  it.each([
    polluted,
    `{"override_settings":${polluted}}`,
    `{"alwayson_scripts":{"a":{"args":[]},"__proto__":{"args":[]}}}`,
    `{"comments":${polluted},"script_args":[${polluted}]}`,
    '{"prompt":"constructor __proto__ toString","styles":["__proto__","constructor"]}',
    '{"sampler_name":"Euler","force_task_id":"__proto__"}',
  ])('changes no prototype: %s', async (body) => {
    const { status, text } = await send(TXT2IMG, body);
    expect(status).toBe(200);
    expect(({} as { x?: unknown }).x).toBeUndefined();
    expect(text).not.toContain('"x":1,"x"');
    expect((await send(OPTIONS, body)).status).toBe(200);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it('answers 400 to a sampler named after a property of objects', async () => {
    expect((await send(TXT2IMG, '{"sampler_name":"constructor"}')).status).toBe(400);
  });
});
