import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    checkpoints: ['b.safetensors', 'a.safetensors', 'old.ckpt', '<script>.safetensors'],
    vaes: ['fine.safetensors'],
    styles: 'name,prompt,negative_prompt\n"<script>","a, {prompt}",b\n',
  });
});
afterAll(() => server.close());

async function list(path: string): Promise<Record<string, unknown>[]> {
  const response = await server.get(`/sdapi/v1/${path}`);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>[];
}

describe('sd-models', () => {
  it('has no null where clients want text, and leaves pickles out', async () => {
    const models = await list('sd-models');
    expect(models.map(({ model_name }) => model_name).sort()).toEqual(['<script>', 'a', 'b']);
    for (const model of models) {
      for (const key of ['title', 'model_name', 'hash', 'sha256', 'filename']) {
        expect(typeof model[key]).toBe('string');
      }
      expect(model).toHaveProperty('config');
    }
    expect(server.logged.join()).toContain('old.ckpt');
  });

  it('has what was added after a refresh', async () => {
    const folder = join(server.folder, 'models', 'Stable-diffusion');
    writeFileSync(join(folder, 'new.safetensors'), 'x');
    expect((await list('sd-models')).map(({ model_name }) => model_name)).not.toContain('new');
    await server.post('/sdapi/v1/refresh-checkpoints');
    expect((await list('sd-models')).map(({ model_name }) => model_name)).toContain('new');
  });
});

describe('the other lists', () => {
  it('sd-vae has name and path', async () => {
    expect(await list('sd-vae')).toMatchObject([{ model_name: 'fine.safetensors' }]);
  });

  it('samplers have options of text only', async () => {
    const samplers = await list('samplers');
    expect(samplers[0]?.name).toBe('DPM++ 2M');
    for (const { aliases, options } of samplers) {
      expect(Array.isArray(aliases)).toBe(true);
      for (const value of Object.values(options as object)) expect(typeof value).toBe('string');
    }
  });

  it('schedulers begin with automatic and have name and label', async () => {
    const schedulers = await list('schedulers');
    expect(schedulers[0]).toMatchObject({ name: 'automatic', label: 'Automatic' });
    expect(schedulers.every(({ name, label }) => name && label)).toBe(true);
  });

  it('prompt-styles follow the file', async () => {
    expect(await list('prompt-styles')).toEqual([
      { name: '<script>', prompt: 'a, {prompt}', negative_prompt: 'b' },
    ]);
    writeFileSync(join(server.folder, 'styles.csv'), 'name,prompt,negative_prompt\nink,x,\n');
    expect(await list('prompt-styles')).toEqual([
      { name: 'ink', prompt: 'x', negative_prompt: '' },
    ]);
  });

  it('memory tells bytes', async () => {
    const response = await server.get('/sdapi/v1/memory');
    const memory = (await response.json()) as { ram: { used: number; total: number } };
    expect(memory.ram.used).toBeGreaterThan(1_000_000);
    expect(memory.ram.total).toBeGreaterThan(memory.ram.used);
    expect(memory).toMatchObject({ cuda: {}, engine: { rss: 1_000_000 } });
  });
});

describe('upscalers', () => {
  it('begin with the built-in ones, in the shape of A1111', async () => {
    expect(await list('upscalers')).toEqual(
      ['None', 'Lanczos', 'Nearest'].map((name) => ({
        name,
        model_name: null,
        model_path: null,
        model_url: null,
        scale: 4,
      })),
    );
    expect(await list('realesrgan-models')).toEqual([]);
  });

  it('include the ways to enlarge a latent', async () => {
    const modes = await list('latent-upscale-modes');
    expect(modes[0]).toEqual({ name: 'Latent' });
    expect(modes.map(({ name }) => name)).toContain('Latent (bicubic antialiased)');
  });
});

describe('markup in names', () => {
  it('is in no page', async () => {
    for (const path of ['/docs/', '/docs/?url=http://evil.example/x.json', '/']) {
      const response = await server.get(path, { headers: { Accept: 'text/html' } });
      expect(response.headers.get('content-type')).toContain('text/html');
      const page = await response.text();
      expect(page).not.toContain('<script>.safetensors');
      expect(page).not.toContain('evil.example');
    }
  });
});
