import { existsSync, readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  enginePid,
  isAlive,
  type ServerProcess,
  spawnServer,
  startServerProcess,
} from './server-process.ts';

const TXT2IMG = '/sdapi/v1/txt2img';

let server: ServerProcess;
let other: Server | undefined;

afterEach(async () => {
  await server.close();
  other?.close();
  other = undefined;
});

async function untilRunning(): Promise<void> {
  await vi.waitFor(
    async () => {
      const response = await server.get('/sdapi/v1/progress');
      const { state } = (await response.json()) as { state: { sampling_steps: number } };
      expect(state.sampling_steps).toBeGreaterThan(0);
    },
    { timeout: 10_000, interval: 20 },
  );
}

describe('a server', () => {
  it('draws, and survives a kill of its engine in the middle of a job', async () => {
    server = await startServerProcess();
    expect((await server.post(TXT2IMG, { steps: 2 })).status).toBe(200);
    const first = enginePid(server);
    const work = server.post(TXT2IMG, { prompt: 'delay:100', steps: 100 });
    await untilRunning();
    const waiting = server.post(TXT2IMG, { steps: 2 });
    const began = performance.now();
    process.kill(first, 'SIGKILL');
    const failed = await work;
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(failed.status).toBe(500);
    expect(await failed.json()).toMatchObject({
      code: 'ENGINE_EXITED',
      detail: '',
      body: '',
      errors: expect.stringContaining('SIGKILL'),
    });
    // Who waited is served by the next engine, and nothing is left of the old job.
    expect((await waiting).status).toBe(200);
    const idle = (await (await server.get('/sdapi/v1/progress')).json()) as object;
    expect(idle).toMatchObject({ progress: 0, state: { job_count: 0, job: '' } });
    expect(enginePid(server)).not.toBe(first);
    expect(server.child.exitCode).toBeNull();
    const metrics = await (await server.get('/metrics')).text();
    expect(metrics).toContain('sdserve_engine_exits_total{cause="SIGKILL"} 1');
  });

  it('answers progress and interrupt while a job runs, and the job with what it has', async () => {
    server = await startServerProcess();
    const work = server.post(TXT2IMG, { prompt: 'delay:50', steps: 150, n_iter: 3 });
    await untilRunning();
    const began = performance.now();
    expect((await server.post('/sdapi/v1/interrupt')).status).toBe(200);
    const response = await work;
    expect(performance.now() - began).toBeLessThan(50 + 400);
    const { images } = (await response.json()) as { images: string[] };
    expect(images).toHaveLength(1);
  });

  it('tells the reason of a broken checkpoint, and switches to a sound one', async () => {
    server = await startServerProcess([], ['broken', 'tiny']);
    const refused = await server.post(TXT2IMG, {});
    expect(refused.status).toBe(500);
    expect(await refused.json()).toMatchObject({
      error: 'CheckpointError',
      code: 'HEADER_TOO_LARGE',
    });
    expect(server.output()).toContain('the checkpoint cannot be used');
    expect((await server.post('/sdapi/v1/options', { sd_model_checkpoint: 'tiny' })).status).toBe(
      200,
    );
    expect((await server.post(TXT2IMG, {})).status).toBe(200);
  });

  it('comes out of a crash loop when another checkpoint is chosen', async () => {
    server = await startServerProcess(['--skip-load-model-at-start'], ['die', 'tiny']);
    let last = 0;
    for (let i = 0; i < 5; i++) {
      const response = await server.post(TXT2IMG, {});
      last = response.status;
      expect(last).toBe(500);
    }
    const ready = await server.get('/health/ready');
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({
      engine: 'failed',
      reason: expect.stringContaining('keeps failing'),
    });
    const refused = await server.post(TXT2IMG, {});
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    expect((await server.post('/sdapi/v1/options', { sd_model_checkpoint: 'tiny' })).status).toBe(
      200,
    );
    expect((await server.post(TXT2IMG, {})).status).toBe(200);
  });
});

describe('the end of a server', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'by %s lets the running job finish, refuses the waiting one, and exits 0',
    async (signal) => {
      server = await startServerProcess();
      const running = server.post(TXT2IMG, { prompt: 'delay:50', steps: 20, save_images: true });
      await untilRunning();
      const waiting = server.post(TXT2IMG, {});
      await vi.waitFor(async () => {
        const pending = await (await server.get('/internal/pending-tasks')).json();
        expect(pending).toMatchObject({ size: 2 });
      });
      const pid = enginePid(server);
      server.child.kill(signal);
      const refused = await waiting;
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).not.toBeNull();
      expect((await running).status).toBe(200);
      expect(await server.ended).toBe(0);
      expect(isAlive(pid)).toBe(false);
      const files = readdirSync(join(server.folder, 'outputs'), { recursive: true });
      expect(files.map(String).filter((name) => name.endsWith('.part'))).toEqual([]);
      expect(files.map(String).filter((name) => name.endsWith('.png'))).toHaveLength(1);
    },
  );

  it('by a second signal is at once', async () => {
    server = await startServerProcess();
    const work = server.post(TXT2IMG, { prompt: 'delay:500', steps: 100 }).catch(() => null);
    await untilRunning();
    server.child.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 100));
    const began = performance.now();
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(1);
    expect(performance.now() - began).toBeLessThan(1_000);
    await work;
  });

  it('by SIGKILL leaves no engine behind, not even one inside a long step', async () => {
    server = await startServerProcess();
    const work = server.post(TXT2IMG, { prompt: 'block:30000', steps: 2 }).catch(() => null);
    await untilRunning();
    const pid = enginePid(server);
    expect(isAlive(pid)).toBe(true);
    const began = performance.now();
    server.child.kill('SIGKILL');
    await server.ended;
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 5_000, interval: 20 });
    expect(performance.now() - began).toBeLessThan(2_000);
    await work;
  });

  it('can be asked for over HTTP', async () => {
    server = await startServerProcess(['--api-server-stop']);
    expect(await (await server.post('/sdapi/v1/server-stop')).text()).toBe('Stopping.');
    expect(await server.ended).toBe(0);
  });
});

describe('a start that fails', () => {
  /** One line, an exit code, and no time lost beyond that of Node and its loader. */
  async function expectRefusal(pattern: RegExp, code: number): Promise<void> {
    expect(await server.ended).toBe(code);
    const lines = server
      .output()
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('{'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(pattern);
  }

  it('names a port that is in use', async () => {
    other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other?.once('listening', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    server = await spawnServer(['--port', `${port}`], ['tiny'], 'server/main.ts');
    await expectRefusal(
      new RegExp(`^sdserve: cannot listen on .*:${port}: the port is in use$`),
      1,
    );
  });

  it('names an unknown flag', async () => {
    server = await spawnServer(['--nonsense'], ['tiny'], 'server/main.ts');
    await expectRefusal(/^sdserve: unknown option '--nonsense'/, 2);
  });

  it('names a checkpoint that is not there', async () => {
    server = await spawnServer(['--ckpt', 'nowhere'], ['tiny'], 'server/main.ts');
    await expectRefusal(/^sdserve: --ckpt: there is no checkpoint nowhere$/, 2);
  });

  it('prints help and version, and exits 0', async () => {
    server = await spawnServer(['--version'], ['tiny'], 'server/main.ts');
    expect(await server.ended).toBe(0);
    expect(server.output()).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(existsSync(join(server.folder, 'config.json'))).toBe(false);
  });
});
