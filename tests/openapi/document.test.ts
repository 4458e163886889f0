import { Validator } from '@seriousme/openapi-schema-validator';
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
const QUERIES: Readonly<Record<string, string>> = {
  '/sdapi/v1/steps-plan': '?steps=20',
  '/sd_extra_networks/get-single-card': '?page=lora&name=spo',
};

/** What generators make methods and classes of, as FastAPI writes it for the web UI. */
const A1111_NAMES: readonly (readonly [
  path: string,
  method: 'get' | 'post',
  id: string,
  request: string | null,
  answer: string | null,
])[] = (
  [
    [
      '/sdapi/v1/txt2img',
      'post',
      'text2imgapi',
      'StableDiffusionProcessingTxt2Img',
      'TextToImageResponse',
    ],
    [
      '/sdapi/v1/img2img',
      'post',
      'img2imgapi',
      'StableDiffusionProcessingImg2Img',
      'ImageToImageResponse',
    ],
    [
      '/sdapi/v1/extra-single-image',
      'post',
      'extras_single_image_api',
      'ExtrasSingleImageRequest',
      'ExtrasSingleImageResponse',
    ],
    [
      '/sdapi/v1/extra-batch-images',
      'post',
      'extras_batch_images_api',
      'ExtrasBatchImagesRequest',
      'ExtrasBatchImagesResponse',
    ],
    ['/sdapi/v1/png-info', 'post', 'pnginfoapi', 'PNGInfoRequest', 'PNGInfoResponse'],
    ['/sdapi/v1/progress', 'get', 'progressapi', null, 'modules__api__models__ProgressResponse'],
    [
      '/internal/progress',
      'post',
      'progressapi',
      'ProgressRequest',
      'modules__progress__ProgressResponse',
    ],
    ['/internal/pending-tasks', 'get', 'get_pending_tasks', null, 'PendingTasksResponse'],
    ['/internal/ping', 'get', '_lambda_', null, null],
    ['/internal/quicksettings-hint', 'get', 'quicksettings_hint', null, 'QuicksettingsHint'],
    ['/internal/profile-startup', 'get', '_lambda_', null, null],
    ['/internal/sysinfo', 'get', 'download_sysinfo', null, null],
    ['/internal/sysinfo-download', 'get', '_lambda_', null, null],
    ['/sdapi/v1/interrogate', 'post', 'interrogateapi', 'InterrogateRequest', null],
    ['/sdapi/v1/interrupt', 'post', 'interruptapi', null, null],
    ['/sdapi/v1/skip', 'post', 'skip', null, null],
    ['/sdapi/v1/options', 'get', 'get_config', null, 'Options'],
    ['/sdapi/v1/options', 'post', 'set_config', null, null],
    ['/sdapi/v1/cmd-flags', 'get', 'get_cmd_flags', null, 'Flags'],
    ['/sdapi/v1/samplers', 'get', 'get_samplers', null, 'SamplerItem'],
    ['/sdapi/v1/schedulers', 'get', 'get_schedulers', null, 'SchedulerItem'],
    ['/sdapi/v1/upscalers', 'get', 'get_upscalers', null, 'UpscalerItem'],
    [
      '/sdapi/v1/latent-upscale-modes',
      'get',
      'get_latent_upscale_modes',
      null,
      'LatentUpscalerModeItem',
    ],
    ['/sdapi/v1/sd-models', 'get', 'get_sd_models', null, 'SDModelItem'],
    ['/sdapi/v1/sd-vae', 'get', 'get_sd_vaes', null, 'SDVaeItem'],
    ['/sdapi/v1/hypernetworks', 'get', 'get_hypernetworks', null, 'HypernetworkItem'],
    ['/sdapi/v1/face-restorers', 'get', 'get_face_restorers', null, 'FaceRestorerItem'],
    ['/sdapi/v1/realesrgan-models', 'get', 'get_realesrgan_models', null, 'RealesrganItem'],
    ['/sdapi/v1/prompt-styles', 'get', 'get_prompt_styles', null, 'PromptStyleItem'],
    ['/sdapi/v1/embeddings', 'get', 'get_embeddings', null, 'EmbeddingsResponse'],
    ['/sdapi/v1/refresh-embeddings', 'post', 'refresh_embeddings', null, null],
    ['/sdapi/v1/refresh-checkpoints', 'post', 'refresh_checkpoints', null, null],
    ['/sdapi/v1/refresh-vae', 'post', 'refresh_vae', null, null],
    ['/sdapi/v1/create/embedding', 'post', 'create_embedding', null, 'CreateResponse'],
    ['/sdapi/v1/create/hypernetwork', 'post', 'create_hypernetwork', null, 'CreateResponse'],
    ['/sdapi/v1/train/embedding', 'post', 'train_embedding', null, 'TrainResponse'],
    ['/sdapi/v1/train/hypernetwork', 'post', 'train_hypernetwork', null, 'TrainResponse'],
    ['/sdapi/v1/memory', 'get', 'get_memory', null, 'MemoryResponse'],
    ['/sdapi/v1/unload-checkpoint', 'post', 'unloadapi', null, null],
    ['/sdapi/v1/reload-checkpoint', 'post', 'reloadapi', null, null],
    ['/sdapi/v1/scripts', 'get', 'get_scripts_list', null, 'ScriptsList'],
    ['/sdapi/v1/script-info', 'get', 'get_script_info', null, 'ScriptInfo'],
    ['/sdapi/v1/extensions', 'get', 'get_extensions_list', null, 'ExtensionItem'],
    ['/sdapi/v1/loras', 'get', 'get_loras', null, null],
    ['/sdapi/v1/refresh-loras', 'post', 'refresh_loras', null, null],
    ['/sdapi/v1/server-kill', 'post', 'kill_webui', null, null],
    ['/sdapi/v1/server-restart', 'post', 'restart_webui', null, null],
    ['/sdapi/v1/server-stop', 'post', 'stop_webui', null, null],
    ['/sd_extra_networks/thumb', 'get', 'fetch_file', null, null],
    ['/sd_extra_networks/cover-images', 'get', 'fetch_cover_images', null, null],
    ['/sd_extra_networks/metadata', 'get', 'get_metadata', null, null],
    ['/sd_extra_networks/get-single-card', 'get', 'get_single_card', null, null],
  ] as const
).map(([path, method, name, request, answer]) => [
  path,
  method,
  `${name}${path.replace(/\W/g, '_')}_${method}`,
  request,
  answer,
]);

interface Document {
  openapi: string;
  info: Json;
  paths: Record<string, Record<string, Json>>;
  components: { schemas: Record<string, Json> };
}

const document = buildDocument('1.2.3', false) as unknown as Document;
/** With the endpoints that end the server. */
const all = buildDocument('1.2.3', true) as unknown as Document;

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

  it.each([true, false])('is valid by the schema of OpenAPI 3.1, stop %s', async (withStop) => {
    const result = await new Validator().validate(buildDocument('1.2.3', withStop));
    expect(result).toMatchObject({ valid: true });
    const { paths: _, ...broken } = buildDocument('1.2.3', withStop);
    expect((await new Validator().validate({ ...broken, paths: [] })).valid).toBe(false);
  });

  it.each(A1111_NAMES)('%s has the names of A1111', (path, method, id, request, answer) => {
    const operation = (all.paths[path]?.[method] ?? {}) as {
      operationId?: string;
      requestBody?: { content: Json };
      responses?: { 200?: { content: Json } };
    };
    expect(operation.operationId).toBe(id);
    const schemaOf = (content: Json | undefined) => JSON.stringify(content?.['application/json']);
    const named = (name: string) => `"#/components/schemas/${name}"`;
    if (request) expect(schemaOf(operation.requestBody?.content)).toContain(named(request));
    if (answer) expect(schemaOf(operation.responses?.[200]?.content)).toContain(named(answer));
  });

  it('names the parts of requests as A1111 does', () => {
    const { ExtrasBatchImagesRequest: batch, FileData } = document.components.schemas;
    expect(references(batch)).toEqual(['#/components/schemas/FileData']);
    expect(FileData).toMatchObject({ required: ['data', 'name'] });
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
    const { properties } = document.components.schemas.StableDiffusionProcessingTxt2Img as {
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
    expect(document.components.schemas.StableDiffusionProcessingTxt2Img).not.toHaveProperty(
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
      // Without the files of a captioning model it is refused; other tests have them.
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
