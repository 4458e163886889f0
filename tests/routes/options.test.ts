import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EngineError } from '../../server/engine/protocol.ts';
import { OptionsStore } from '../../server/options.ts';
import { startTestServer, type TestServer, type TestServerOptions } from '../http/test-server.ts';

const PATH = '/sdapi/v1/options';

let server: TestServer;

afterEach(() => server.close());

async function start(options: TestServerOptions = {}): Promise<void> {
  server = await startTestServer({
    checkpoints: ['one.safetensors', 'two.safetensors'],
    vaes: ['fine.safetensors'],
    ...options,
  });
  // Titles and hashes change while hashes are computed in the background.
  const { models } = server.context;
  for (const entry of [...models.checkpoints]) await models.toFile(entry);
}

async function read(): Promise<Record<string, unknown>> {
  const response = await server.get(PATH);
  return (await response.json()) as Record<string, unknown>;
}

async function write(body: unknown) {
  const response = await server.post(PATH, body);
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
}

const saved = () => JSON.parse(readFileSync(join(server.folder, 'config.json'), 'utf8'));

describe('reading', () => {
  it('gives the title of the checkpoint in use, its hash, and the defaults of A1111', async () => {
    await start();
    const options = await read();
    expect(options).toMatchObject({
      samples_format: 'png',
      send_seed: true,
      CLIP_stop_at_last_layers: 1,
      sd_vae: 'Automatic',
      randn_source: 'GPU',
      jpeg_quality: 80,
      show_progress_every_n_steps: 10,
    });
    const models = (await (await server.get('/sdapi/v1/sd-models')).json()) as { title: string }[];
    expect(models.map(({ title }) => title)).toContain(options.sd_model_checkpoint);
    expect(options.sd_model_checkpoint).toMatch(/^one\.safetensors \[[0-9a-f]{10}\]$/);
    expect(options.sd_checkpoint_hash).toMatch(/^[0-9a-f]{64}$/);
    expect(options.outdir_txt2img_samples).toContain('txt2img-images');
  });
});

describe('writing', () => {
  it('answers null, holds the value, and keeps it in config.json', async () => {
    await start();
    const { status, answer } = await write({ send_seed: false });
    expect(status).toBe(200);
    expect(answer).toBeNull();
    expect((await read()).send_seed).toBe(false);
    expect(saved().send_seed).toBe(false);
    expect(readdirSync(server.folder).filter((name) => name.endsWith('.part'))).toEqual([]);
    expect(OptionsStore.open(join(server.folder, 'config.json')).all().send_seed).toBe(false);
  });

  it('takes the whole object back, with a slash behind the path', async () => {
    await start();
    const before = await read();
    const response = await server.post(`${PATH}/`, { ...before, jpeg_quality: 91 });
    expect(response.status).toBe(200);
    expect(await read()).toEqual({ ...before, jpeg_quality: 91 });
    expect(server.engine.loads).toHaveLength(0);
  });

  it('ignores unknown keys, null, and what only the command line decides', async () => {
    await start();
    const { status } = await write({
      nonsense: 1,
      jpeg_quality: null,
      outdir_txt2img_samples: '/etc',
      sd_checkpoint_hash: 'abc',
      api_enable_requests: true,
    });
    expect(status).toBe(200);
    expect(await read()).toMatchObject({ jpeg_quality: 80, api_enable_requests: false });
    expect(JSON.stringify(await read())).not.toContain('nonsense');
    expect(String((await read()).outdir_txt2img_samples)).toContain(server.folder);
    expect(saved()).not.toHaveProperty('nonsense');
  });

  it.each([
    [{ CLIP_stop_at_last_layers: '2.0' }, { CLIP_stop_at_last_layers: 2 }],
    [{ CLIP_stop_at_last_layers: 2.0 }, { CLIP_stop_at_last_layers: 2 }],
    [
      { send_seed: 'no', send_size: 0 },
      { send_seed: false, send_size: false },
    ],
    [{ samples_format: 'JPG' }, { samples_format: 'jpg' }],
    [{ eta_ancestral: '0.5' }, { eta_ancestral: 0.5 }],
    [{ hide_samplers: ['PLMS'] }, { hide_samplers: ['PLMS'] }],
    [{ upscaler_for_img2img: null }, { upscaler_for_img2img: null }],
  ])('reads %j', async (body, expected) => {
    await start();
    expect((await write(body)).status).toBe(200);
    expect(await read()).toMatchObject(expected);
  });

  it.each([
    ['CLIP_stop_at_last_layers', 0],
    ['CLIP_stop_at_last_layers', 1.5],
    ['samples_format', 'bmp'],
    ['send_seed', 'perhaps'],
    ['jpeg_quality', 101],
    ['eta_ancestral', 'much'],
  ])('refuses %s = %s by name and changes nothing at all', async (key, value) => {
    await start();
    const before = await read();
    const { status, answer } = await write({ webp_lossless: true, [key]: value });
    expect(status).toBe(422);
    expect(answer.detail).toMatchObject([{ loc: ['body', key] }]);
    expect(await read()).toEqual(before);
    expect(existsSync(join(server.folder, 'config.json'))).toBe(false);
  });

  it('tells when the options hold but cannot be saved', async () => {
    await start();
    rmSync(server.folder, { recursive: true });
    const { status, answer } = await write({ jpeg_quality: 70 });
    expect(status).toBe(500);
    expect(answer.code).toBe('OPTIONS_NOT_SAVED');
    expect((await read()).jpeg_quality).toBe(70);
  });
});

describe('the checkpoint', () => {
  it.each(['two', 'two.safetensors', 'title', 'hash', 'sha256'])(
    'is switched by its %s, loaded before the answer',
    async (kind) => {
      await start();
      const two = server.context.models.checkpoints.find(({ baseName }) => baseName === 'two')!;
      await server.context.models.toFile(two);
      const fresh = server.context.models.find('two')!;
      const id =
        { title: fresh.title, hash: fresh.shortHash!, sha256: fresh.sha256! }[kind] ?? kind;
      expect((await write({ sd_model_checkpoint: id })).status).toBe(200);
      expect(server.engine.loads.map(({ checkpoint }) => checkpoint.name)).toEqual(['two']);
      expect((await read()).sd_model_checkpoint).toBe(two.title);
    },
  );

  it.each(['nowhere', '../two.safetensors', '/etc/passwd', '', 'two\u0000', '__proto__'])(
    'is refused with 404 when %j is none, and nothing changes',
    async (id) => {
      await start();
      const { status, answer } = await write({ sd_model_checkpoint: id, jpeg_quality: 9 });
      expect(status).toBe(404);
      expect(answer.detail).toBe(`model '${id}' not found`);
      expect((await read()).jpeg_quality).toBe(80);
      expect(server.engine.loads).toHaveLength(0);
    },
  );

  it('stays when the new one cannot be loaded', async () => {
    await start();
    server.engine.loadWork = async () => {
      throw new EngineError('HEADER_JSON', 'two.safetensors: not JSON', 'CheckpointError');
    };
    const { status, answer } = await write({ sd_model_checkpoint: 'two' });
    expect(status).toBe(500);
    expect(answer.errors).toContain('two.safetensors');
    expect(String((await read()).sd_model_checkpoint)).toContain('one');
  });

  it('is loaded again on request when the engine has given up', async () => {
    await start();
    server.engine.state = 'failed';
    expect((await write({ sd_model_checkpoint: 'one' })).status).toBe(200);
    expect(server.engine.loads).toHaveLength(1);
  });

  it('is loaded with the VAE that is set; an unknown VAE is a 404', async () => {
    await start();
    expect((await write({ sd_vae: 'fine.safetensors' })).status).toBe(200);
    expect(server.engine.loads[0]?.vae?.name).toBe('fine.safetensors');
    expect(server.engine.loads[0]?.vae?.hash).toMatch(/^[0-9a-f]{10}$/);
    expect((await write({ sd_vae: 'coarse.safetensors' })).status).toBe(404);
    expect((await write({ sd_vae: 'None' })).status).toBe(200);
  });
});

describe('config.json', () => {
  it('of A1111 is read, and what is not ours stays in it', async () => {
    await start({
      config: JSON.stringify({
        jpeg_quality: 66,
        CLIP_stop_at_last_layers: 2.0,
        samples_format: 'tiff',
        some_extension_key: { a: [1] },
      }),
    });
    expect(await read()).toMatchObject({
      jpeg_quality: 66,
      CLIP_stop_at_last_layers: 2,
      samples_format: 'png',
    });
    await write({ jpeg_quality: 67 });
    expect(saved()).toMatchObject({ jpeg_quality: 67, some_extension_key: { a: [1] } });
  });

  it.each(['', '{', '[]', 'null', '"text"'])('is named when it is %j', async (content) => {
    await start();
    const path = join(server.folder, 'broken.json');
    writeFileSync(path, content);
    expect(() => OptionsStore.open(path)).toThrow(path);
  });

  it('never holds half an object, however many writers there are', async () => {
    await start();
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => write({ jpeg_quality: i + 1, webp_lossless: i % 2 })),
    );
    expect(saved().jpeg_quality).toBe((await read()).jpeg_quality);
  });
});

describe('command-line flags', () => {
  it('come under the names of A1111', async () => {
    await start({ flags: ['--threads', '3', '--lowvram'] });
    const flags = await (await server.get('/sdapi/v1/cmd-flags')).json();
    expect(flags).toMatchObject({ api: true, threads: 3, lowvram: true, medvram: false });
    expect(flags).toHaveProperty('lora_dir');
  });
});
