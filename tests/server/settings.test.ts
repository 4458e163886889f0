import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FLAGS, IGNORED_FLAGS } from '../../server/flags.ts';
import { StartError } from '../../server/read-flags.ts';
import { readSettings } from '../../server/settings.ts';
import { countThreads } from '../../server/threads.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sdserve-settings-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function refusal(args: string[], env: Record<string, string> = {}): StartError {
  try {
    readSettings(args, env);
  } catch (error) {
    if (error instanceof StartError) return error;
    throw error;
  }
  throw new Error(`expected ${args.join(' ')} to be refused`);
}

describe('defaults', () => {
  it('serve this computer only, from the current folder', () => {
    const settings = readSettings([], {});
    expect(settings).toMatchObject({
      host: '127.0.0.1',
      port: 7860,
      users: [],
      corsOrigins: [],
      corsOriginsRegex: null,
      dataDir: resolve('.'),
      modelsDir: resolve('models'),
      checkpointDirs: [resolve('models/Stable-diffusion')],
      loraDir: resolve('models/Lora'),
      vaeDirs: [resolve('models/VAE')],
      embeddingsDir: resolve('embeddings'),
      outputDir: resolve('outputs'),
      configFile: resolve('config.json'),
      stylesFile: resolve('styles.csv'),
      checkpoint: null,
      device: 'cpu',
      memoryMode: 'normal',
      queueSize: 64,
      apiLog: false,
      apiServerStop: false,
      logLevel: 'info',
      ignoredFlags: [],
    });
    expect(settings.threads).toBe(countThreads());
    expect(settings.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(Object.isFrozen(settings)).toBe(true);
  });
});

describe('flags', () => {
  it('are read under the names of A1111', () => {
    const settings = readSettings(
      [
        ...['--port', '8000', '--listen', '--api-auth', 'a:b,c:d:e', '--data-dir', folder],
        ...['--ckpt-dir', folder, '--vae-dir', folder, '--lora-dir', folder, '--threads=3'],
        ...['--cors-allow-origins', 'http://a, http://b', '--cors-allow-origins-regex', 'x.*'],
        ...['--lowvram', '--device', 'cuda', '--queue-size', '5', '--log-level', 'debug'],
      ],
      {},
    );
    expect(settings).toMatchObject({
      host: '0.0.0.0',
      port: 8000,
      users: [
        { name: 'a', password: 'b' },
        { name: 'c', password: 'd:e' },
      ],
      corsOrigins: ['http://a', 'http://b'],
      checkpointDirs: [join(folder, 'models/Stable-diffusion'), folder],
      vaeDirs: [join(folder, 'models/VAE'), folder],
      loraDir: folder,
      threads: 3,
      memoryMode: 'lowvram',
      device: 'cuda',
      queueSize: 5,
      logLevel: 'debug',
    });
    expect(settings.corsOriginsRegex?.test('xyz')).toBe(true);
    expect(settings.corsOriginsRegex?.test('axyz')).toBe(false);
  });

  it('let --server-name win over --listen', () => {
    expect(readSettings(['--listen', '--server-name', '10.0.0.1'], {}).host).toBe('10.0.0.1');
  });

  it('look through the folder of a checkpoint that is given as a path', () => {
    const path = join(folder, 'a.safetensors');
    writeFileSync(path, '');
    expect(readSettings(['--ckpt', path], {}).checkpointDirs).toContain(folder);
    expect(readSettings(['--ckpt', 'a'], {}).checkpoint).toBe('a');
  });

  it('of A1111 that mean nothing here are accepted, with their values, and told', () => {
    const settings = readSettings(
      ['--xformers', '--no-half', '--theme', 'dark', '--use-cpu=all', '--api', '--port', '1'],
      {},
    );
    expect(settings.port).toBe(1);
    expect(settings.ignoredFlags).toEqual([
      '--xformers',
      '--no-half',
      '--theme',
      '--use-cpu',
      '--api',
    ]);
  });

  it('are in one of the two tables, never in both', () => {
    const names = [...FLAGS, ...IGNORED_FLAGS].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('the environment', () => {
  it('is read with the prefix SDSERVE_, and loses against flags', () => {
    const env = { SDSERVE_PORT: '9000', SDSERVE_LISTEN: 'yes', SDSERVE_QUEUE_SIZE: '' };
    expect(readSettings([], env)).toMatchObject({ port: 9000, host: '0.0.0.0', queueSize: 64 });
    expect(readSettings(['--port', '1'], env).port).toBe(1);
    expect(readSettings([], { SDSERVE_LOWVRAM: '0' }).memoryMode).toBe('normal');
  });
});

describe('refusals', () => {
  it.each([
    [['--nonsense'], 'nonsense'],
    [['--port'], 'port'],
    [['--port', 'abc'], '--port'],
    [['--port', '70000'], '--port'],
    [['--threads', '0'], '--threads'],
    [['--device', 'tpu'], '--device'],
    [['--log-level', 'loud'], '--log-level'],
    [['--api-auth', 'nocolon'], '--api-auth'],
    [['--api-auth', ':pass'], '--api-auth'],
    [['--cors-allow-origins-regex', '('], '--cors-allow-origins-regex'],
    [['--ckpt-dir', '/no/such/folder'], '/no/such/folder'],
    [['stray'], 'stray'],
  ])('are one line that names the flag, with exit code 2: %j', (args, name) => {
    const { message, exitCode } = refusal(args);
    expect(exitCode).toBe(2);
    // commander counts stray arguments instead of naming them.
    if (name !== 'stray') expect(message).toContain(name);
    expect(message).not.toContain('\n');
    expect(message.length).toBeGreaterThan(10);
  });

  it('repeat no password', () => {
    expect(refusal(['--api-auth', 'hunter2']).message).not.toContain('hunter2');
  });
});
