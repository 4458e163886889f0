import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

const TXT2IMG = '/sdapi/v1/txt2img';

let server: TestServer;

afterEach(() => server.close());

interface Drawn {
  parameters: { seed: number };
  info: string;
}

describe('many clients', () => {
  it('64 of them get 1,000 answers, each its own, in the order of the queue', async () => {
    server = await startTestServer();
    server.engine.work = () => new Promise((resolve) => setImmediate(resolve, {}));
    let next = 0;
    const seeds: number[] = [];
    const client = async () => {
      for (let seed = next++; seed < 1_000; seed = next++) {
        const response = await server.post(TXT2IMG, { seed, send_images: false });
        expect(response.status).toBe(200);
        const { parameters, info } = (await response.json()) as Drawn;
        expect(parameters.seed).toBe(seed);
        expect(JSON.parse(info).all_seeds).toEqual([seed]);
        seeds.push(seed);
      }
    };
    await Promise.all(Array.from({ length: 64 }, client));
    expect(seeds.sort((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
    expect(server.engine.jobs).toHaveLength(1_000);
  });

  it('300 at once: 65 are taken, 235 are told at once to come back', async () => {
    server = await startTestServer();
    let open: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    server.engine.work = async () => {
      await gate;
      return {};
    };
    // The hash of the checkpoint is known before the rush.
    await server.context.models.toFile(server.context.models.checkpoints[0]!);
    let refused = 0;
    const seconds: number[] = [];
    const posts = Array.from({ length: 300 }, async () => {
      const response = await server.post(TXT2IMG, { send_images: false });
      if (response.status === 429) {
        refused += 1;
        expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
        expect(await response.json()).toMatchObject({ code: 'QUEUE_FULL' });
        seconds.push(Number(response.headers.get('x-process-time')));
      }
      return response.status;
    });
    await vi.waitFor(() => expect(refused).toBe(235), 20_000);
    open();
    const statuses = await Promise.all(posts);
    expect(statuses.filter((status) => status === 200)).toHaveLength(65);
    expect(statuses.filter((status) => status === 429)).toHaveLength(235);
    // The first of them were being read while the queue filled up.
    seconds.sort((a, b) => a - b);
    expect(seconds[Math.floor(0.9 * seconds.length)]).toBeLessThan(0.25);
  });
});

describe('clients that leave', () => {
  const openFiles = () => readdirSync('/proc/self/fd').length;

  it.runIf(process.platform === 'linux')(
    'at random moments, 500 times, leave nothing behind',
    async () => {
      const warnings: string[] = [];
      const note = (warning: Error) => warnings.push(warning.name);
      process.on('warning', note);
      server = await startTestServer();
      server.engine.work = (_job, signal) =>
        new Promise((resolve) => {
          const timer = setTimeout(resolve, 5, {});
          signal?.addEventListener('abort', () => {
            clearTimeout(timer);
            resolve({});
          });
        });
      const before = openFiles();
      const { port } = new URL(server.url);
      const body = JSON.stringify({ prompt: 'x'.repeat(10_000) });
      const leave = (afterMs: number) =>
        new Promise<void>((resolve) => {
          const client = request({ port, path: TXT2IMG, method: 'POST', agent: false });
          client.setHeader('Content-Type', 'application/json');
          client.setHeader('Content-Length', body.length);
          client.on('error', () => {});
          client.on('response', (response) => response.resume());
          client.on('close', () => resolve());
          // Part of the body, the rest a little later, and away.
          client.write(body.slice(0, 5_000));
          setTimeout(() => client.end(body.slice(5_000)), afterMs / 2);
          setTimeout(() => client.destroy(), afterMs);
        });
      for (let round = 0; round < 10; round++) {
        await Promise.all(Array.from({ length: 50 }, (_, i) => leave((i * 7 + round) % 60)));
      }
      await vi.waitFor(() => {
        expect(server.context.queue.running).toBeNull();
        expect(server.context.queue.waiting).toEqual([]);
      }, 10_000);
      expect((await server.post(TXT2IMG, {})).status).toBe(200);
      await vi.waitFor(() => expect(openFiles()).toBeLessThanOrEqual(before + 5), 10_000);
      process.off('warning', note);
      expect(warnings).toEqual([]);
    },
  );
});

describe('the log of all this', () => {
  it('holds no text of more than 4 kB and no prompt', async () => {
    server = await startTestServer();
    await server.post(TXT2IMG, { prompt: 'a secret garden '.repeat(500) });
    await server.post(TXT2IMG, { steps: 'x'.repeat(100_000) });
    await server.post(TXT2IMG, { override_settings: { sd_vae: 'y'.repeat(900) } });
    await server.get(`/${'z'.repeat(9_000)}`);
    expect(server.logged.length).toBeGreaterThan(4);
    for (const line of server.logged) expect(line.length).toBeLessThan(4_096);
    expect(server.logged.join()).not.toContain('secret garden');
  });
});
