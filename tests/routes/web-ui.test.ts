import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';
import { readFixture } from '../images/fixture.ts';
import { CAPTIONER_FOLDER } from '../networks/captioner/fixture.ts';

const PICTURE = readFixture('rgb.png').toString('base64');

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    checkpoints: ['a <b> & "c".safetensors'],
    flags: ['--api-auth', 'ann:s3cret'],
  });
});
afterAll(() => server.close());

const Authorization = `Basic ${Buffer.from('ann:s3cret').toString('base64')}`;

async function get(path: string, accept = 'application/json') {
  return server.get(path, { headers: { Authorization, Accept: accept } });
}

async function post(path: string, body: unknown) {
  const response = await server.post(path, body, {
    headers: { Authorization, 'Content-Type': 'application/json' },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe('lists of what there is none of', () => {
  it.each(['face-restorers', 'hypernetworks', 'extensions'])('%s is empty', async (name) => {
    const response = await get(`/sdapi/v1/${name}`);
    expect([response.status, await response.json()]).toEqual([200, []]);
  });
});

describe('POST /sdapi/v1/interrogate', () => {
  const ask = (body: object) => post('/sdapi/v1/interrogate', { image: PICTURE, ...body });

  it('says which files are missing, then takes them as soon as they are there', async () => {
    const { status, body } = await ask({});
    expect(status).toBe(422);
    expect(body.detail).toMatch(/folder BLIP .*model\.safetensors and vocab\.txt/);
    expect(body.detail).not.toContain(server.folder);
    const folder = join(server.folder, 'models', 'BLIP');
    mkdirSync(folder, { recursive: true });
    for (const name of ['model.safetensors', 'vocab.txt']) {
      copyFileSync(join(CAPTIONER_FOLDER, name), join(folder, name));
    }
    const options = { interrogate_clip_min_length: 5 };
    await post('/sdapi/v1/options', options);
    expect(await ask({})).toEqual({ status: 200, body: { caption: 'a red boat' } });
    expect(server.engine.captions.at(-1)).toMatchObject({
      kind: 'caption',
      path: join(folder, 'model.safetensors'),
      vocabulary: join(folder, 'vocab.txt'),
      minTokens: 5,
      maxTokens: 48,
    });
    expect((await ask({ image: '' })).status).toBe(422);
    expect((await ask({ image: Buffer.from('no picture').toString('base64') })).status).toBe(422);
  });

  it('says that deepdanbooru cannot be run', async () => {
    const { status, body } = await ask({ model: 'deepdanbooru' });
    expect([status, body.code]).toEqual([422, 'UNSUPPORTED_FEATURE']);
  });

  it('knows no other models than A1111', async () => {
    const { status, body } = await post('/sdapi/v1/interrogate', { image: 'A', model: 'blip' });
    expect(status).toBe(404);
    expect(body).toMatchObject({ detail: 'Model not found', error: 'HTTPException' });
  });
});

describe('training', () => {
  it.each(['create/embedding', 'create/hypernetwork', 'train/embedding', 'train/hypernetwork'])(
    '%s says in info that nothing is trained',
    async (path) => {
      const { status, body } = await post(`/sdapi/v1/${path}`, { name: 'x' });
      expect(status).toBe(200);
      expect(body.info).toMatch(/^(create|train) (embedding|hypernetwork) error: /);
      expect((await post(`/sdapi/v1/${path}`, [])).status).toBe(422);
    },
  );
});

describe('reports', () => {
  it('describe the system without passwords', async () => {
    const response = await get('/internal/sysinfo');
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(response.headers.get('content-disposition')).toMatch(
      /^inline; filename="sysinfo-\d{4}-\d\d-\d\d-\d\d-\d\d\.json"$/,
    );
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ Node: process.version, Config: { send_seed: true } });
    expect(text).not.toContain('s3cret');
    const file = await get('/internal/sysinfo-download');
    expect(file.headers.get('content-disposition')).toMatch(/^attachment/);
  });

  it('name every option', async () => {
    const hints = (await (await get('/internal/quicksettings-hint')).json()) as { name: string }[];
    const options = (await (await get('/sdapi/v1/options')).json()) as object;
    expect(hints.map(({ name }) => name).sort()).toEqual(Object.keys(options).sort());
  });

  it('keep one id as long as the server runs', async () => {
    const id = async () => ((await (await get('/app_id')).json()) as { app_id: number }).app_id;
    const first = await id();
    expect(Number.isSafeInteger(first)).toBe(true);
    expect(await id()).toBe(first);
  });
});

describe('the first page', () => {
  it('is JSON for programs', async () => {
    expect(await (await get('/', '*/*')).json()).toMatchObject({
      name: 'sdserve',
      docs: '/docs',
      engine: 'ready',
      device: 'cpu',
      checkpoint: expect.stringContaining('a <b> & "c".safetensors'),
      jobs: 0,
    });
  });

  it('is a page for browsers, with names of files as text and nothing that runs', async () => {
    const response = await get('/', 'text/html,*/*;q=0.8');
    const page = await response.text();
    expect(page).toContain('a &lt;b&gt; &amp; &quot;c&quot;.safetensors');
    expect(page).toContain('href="docs"');
    expect(page).not.toContain('<script');
    expect(response.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src/,
    );
  });
});
