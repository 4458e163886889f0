import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { buildDocument } from '../../openapi/document.ts';
import { listOperations } from '../../openapi/operations.ts';
import { addLora, startTestServer, type TestServer } from '../http/test-server.ts';
import { readFixture } from '../images/fixture.ts';

type Json = Record<string, unknown>;

/** The smallest requests of endpoints that need something. */
const BODIES: Readonly<Record<string, Json>> = {
  '/agent-scheduler/v1/queue/img2img': { init_images: [readFixture('rgb.png').toString('base64')] },
  '/agent-scheduler/v1/import': { content: '[]' },
  '/controlnet/detect': { controlnet_input_images: [] },
  '/sdapi/v1/img2img': { init_images: [readFixture('rgb.png').toString('base64')] },
  '/sdapi/v1/sparkle': { image: readFixture('rgb.png').toString('base64') },
  '/sdapi/v1/extra-single-image': { image: readFixture('rgb.png').toString('base64') },
  '/sdapi/v1/extra-batch-images': { imageList: [] },
  '/sdapi/v1/png-info': { image: readFixture('text-latin1.png').toString('base64') },
};

/** Queries of those that need one. */
const QUERIES: Readonly<Record<string, string>> = { '/sdapi/v1/steps-plan': '?steps=20' };

const document = buildDocument('1.2.3', false) as {
  openapi: string;
  info: Json;
  paths: Record<string, Record<string, Json>>;
  components: { schemas: Record<string, Json> };
};

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ flags: ['--api-server-stop'] });
  // The sparkle pass is one with this LoRA.
  addLora(server, 'spo');
  await server.post('/sdapi/v1/refresh-loras');
});
afterAll(() => server.close());

/** Every `$ref` below a value. */
function references(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(references);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    key === '$ref' ? [String(part)] : references(part),
  );
}

describe('the document', () => {
  it('is OpenAPI 3.1 with the version of the server', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info).toMatchObject({ title: 'sdserve', version: '1.2.3' });
  });

  it('carries the names of A1111', () => {
    expect(document.components.schemas).toHaveProperty('StableDiffusionTxt2ImgProcessingAPI');
    expect(document.components.schemas).toHaveProperty('TextToImageResponse');
    expect(document.paths['/sdapi/v1/txt2img']?.post?.operationId).toBe(
      'text2imgapi_sdapi_v1_txt2img_post',
    );
  });

  it('has no reference that leads nowhere, and no identifier twice', () => {
    for (const reference of references(document)) {
      const name = /^#\/components\/schemas\/(\w+)$/.exec(reference)?.[1] ?? reference;
      expect(Object.keys(document.components.schemas)).toContain(name);
    }
    const ids = listOperations(true).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('says bounds and defaults of the request', () => {
    const { properties } = document.components.schemas.StableDiffusionTxt2ImgProcessingAPI as {
      properties: Record<string, Json>;
    };
    expect(properties.steps).toMatchObject({
      default: 50,
      anyOf: [{ type: 'integer', minimum: 1, maximum: 150 }, { type: 'null' }],
    });
    expect(properties.send_images).toMatchObject({ type: 'boolean', default: true });
  });

  it('says which endpoints take forms and answer pictures', () => {
    const { requestBody, responses } = (document.paths['/sdapi/v1/img2img']?.post ?? {}) as {
      requestBody: { content: Record<string, { schema: { properties?: Json } }> };
      responses: Record<string, { content: Json }>;
    };
    const form = requestBody.content['multipart/form-data']?.schema.properties;
    expect(Object.keys(form ?? {})).toEqual(['init_images', 'mask', 'json']);
    expect(Object.keys(responses[200]?.content ?? {})).toEqual(['application/json', 'image/png']);
  });

  it('requires nothing of a request', () => {
    expect(document.components.schemas.StableDiffusionTxt2ImgProcessingAPI).not.toHaveProperty(
      'required',
    );
  });

  it('describes every field of every schema', () => {
    const missing: string[] = [];
    for (const [name, schema] of Object.entries(document.components.schemas)) {
      const properties = (schema.properties ?? {}) as Record<string, Json>;
      for (const [field, { description }] of Object.entries(properties)) {
        if (typeof description !== 'string' || description === '') missing.push(`${name}.${field}`);
      }
    }
    expect(missing).toEqual([]);
  });
});

describe('the routes', () => {
  it('are all there: none of the document is answered 404 or 405', async () => {
    for (const { method, path, upload } of listOperations(true)) {
      // Files have tests of their own.
      if (path.endsWith('server-kill') || upload) continue;
      const init = method === 'get' ? {} : { body: JSON.stringify(BODIES[path] ?? {}) };
      const response = await fetch(server.url + path.replace(/\{\w+\}/g, 'nobody'), {
        method: method.toUpperCase(),
        headers: { 'Content-Type': 'application/json' },
        ...init,
      });
      const text = await response.text();
      // A thing that is not there has a sentence of its own.
      expect([path, method, response.status === 405]).toEqual([path, method, false]);
      expect([path, method, text]).not.toEqual([path, method, '{"detail":"Not Found"}']);
    }
  });

  it('answer what their schemas say', async () => {
    for (const { method, path, answer, upload } of listOperations(false)) {
      if (upload || path.includes('{')) continue;
      // There is no captioning model: the answer of success is what clients are told to expect.
      if ('media' in answer || path.endsWith('/interrogate') || path.endsWith('/jobs')) continue;
      const schema = 'listOf' in answer ? z.array(answer.listOf) : answer;
      const response = await (method === 'get'
        ? server.get(path + (QUERIES[path] ?? ''))
        : server.post(path, BODIES[path] ?? {}));
      const body: unknown = await response.json();
      const result = schema.safeParse(body);
      expect([path, result.error?.issues ?? []]).toEqual([path, []]);
      // Objects strip what they do not know: equal means that nothing is undocumented.
      expect([path, result.data]).toEqual([path, body]);
    }
  });

  it('serve the document and its page', async () => {
    const json = (await (await server.get('/openapi.json')).json()) as { openapi: string };
    expect(json.openapi).toBe('3.1.0');
    const redirect = await server.get('/docs', { redirect: 'manual' });
    expect(redirect.headers.get('location')).toBe('docs/');
    const page = await (await server.get('/docs/')).text();
    // Scripts come as files: the policy allows no other.
    expect(page).not.toMatch(/<script>[^<]*\S[^<]*<\/script>/);
    for (const asset of ['swagger-ui.css', 'swagger-ui-bundle.js', 'swagger-ui-init.js']) {
      expect((await server.get(`/docs/${asset}`)).status).toBe(200);
    }
    const init = await (await server.get('/docs/swagger-ui-init.js')).text();
    expect(init).toContain('"queryConfigEnabled": false');
    expect(init).toContain('"validatorUrl": null');
  });

  it.each(['?url=http://evil.example/a.json', '?configUrl=http://evil.example/c.json'])(
    'serve the same page for %s',
    async (query) => {
      const plain = await (await server.get('/docs/')).text();
      expect(await (await server.get(`/docs/${query}`)).text()).toBe(plain);
    },
  );
});
