/** Model files that are replaced while the server runs: hashes belong to what is drawn with. */
import { createHash } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer({
    checkpoints: ['one.safetensors', 'two.safetensors'],
    vaes: ['fine.safetensors'],
  });
  const { models } = server.context;
  for (const entry of [...models.checkpoints]) await models.toFile(entry);
});
afterEach(() => server.close());

const shortHash = (content: string) =>
  createHash('sha256').update(content).digest('hex').slice(0, 10);

/** Puts a file in another's place as the README asks for it, by a rename. */
function replace(folder: string, name: string, content: string): void {
  const path = join(server.folder, 'models', folder, name);
  writeFileSync(`${path}.part`, content);
  renameSync(`${path}.part`, path);
}

async function draw(body: object = {}) {
  const response = await server.post('/sdapi/v1/txt2img', { steps: 1, ...body });
  expect(response.status).toBe(200);
  return server.engine.jobs.at(-1)!;
}

describe('a checkpoint that was replaced by a rename', () => {
  it('has its own hash in the next job, without a refresh', async () => {
    expect((await draw()).checkpoint.hash).toBe(shortHash('checkpoint one.safetensors'));
    replace('Stable-diffusion', 'one.safetensors', 'another one');
    expect((await draw()).checkpoint).toMatchObject({
      name: 'one',
      hash: shortHash('another one'),
    });
    const titles = server.context.models.checkpoints.map(({ title }) => title);
    expect(titles).toContain(`one.safetensors [${shortHash('another one')}]`);
  });

  it('stays the one in use, though its title has another hash now', async () => {
    const [, two] = server.context.models.checkpoints;
    await server.context.options.set({ sd_model_checkpoint: two!.title });
    expect((await draw()).checkpoint.name).toBe('two');
    replace('Stable-diffusion', 'two.safetensors', 'another two');
    expect((await draw()).checkpoint).toMatchObject({
      name: 'two',
      hash: shortHash('another two'),
    });
    expect((await draw()).checkpoint.name).toBe('two');
  });

  it('that is gone is left to the engine', async () => {
    renameSync(
      join(server.folder, 'models/Stable-diffusion/one.safetensors'),
      join(server.folder, 'gone'),
    );
    expect((await draw()).checkpoint).toMatchObject({ name: 'one' });
  });
});

it('a VAE that was replaced has its own hash, too', async () => {
  const override_settings = { sd_vae: 'fine.safetensors' };
  expect((await draw({ override_settings })).vae?.hash).toBe(shortHash('vae fine.safetensors'));
  replace('VAE', 'fine.safetensors', 'a finer one');
  expect((await draw({ override_settings })).vae?.hash).toBe(shortHash('a finer one'));
});
