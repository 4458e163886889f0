import { afterEach, describe, expect, it, vi } from 'vitest';
import { startTestServer, type TestServer } from '../http/test-server.ts';

let server: TestServer;

afterEach(() => server.close());

describe('health', () => {
  it('lives always, and is ready when the engine is', async () => {
    server = await startTestServer();
    expect(await (await server.get('/health')).json()).toEqual({ status: 'ok' });
    const ready = await server.get('/health/ready');
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ ready: true, reason: null, engine: 'ready' });
    server.engine.state = 'failed';
    const failed = await server.get('/health/ready');
    expect(failed.status).toBe(503);
    expect(await failed.json()).toMatchObject({ ready: false, reason: 'because' });
    expect((await server.get('/health')).status).toBe(200);
  });

  it('is not ready without a checkpoint and says where to put one', async () => {
    server = await startTestServer({ checkpoints: [] });
    if (server.context.models.usesDemo) return;
    const response = await server.get('/health/ready');
    expect(response.status).toBe(503);
    expect(JSON.stringify(await response.json())).toContain('Stable-diffusion');
    const drawn = await server.post('/sdapi/v1/txt2img', {});
    expect(drawn.status).toBe(404);
    expect(JSON.stringify(await drawn.json())).toContain('Stable-diffusion');
  });
});

describe('queue and metrics', () => {
  it('count jobs, pictures, steps and requests', async () => {
    server = await startTestServer();
    let finish: () => void = () => {};
    server.engine.work = () =>
      new Promise((resolve) => {
        finish = () => resolve({});
      });
    const work = server.post('/sdapi/v1/txt2img', { steps: 7, batch_size: 2 });
    await vi.waitFor(() => expect(server.context.queue.running).not.toBeNull());
    expect(await (await server.get('/queue/status')).json()).toMatchObject({
      msg: 'estimation',
      rank: null,
      queue_size: 1,
      queue_limit: 64,
      avg_event_process_time: null,
    });
    finish();
    await work;
    await server.get('/a/path/of/a/stranger');
    const response = await server.get('/metrics');
    expect(response.headers.get('content-type')).toContain('text/plain');
    const text = await response.text();
    expect(text).toContain('sdserve_images_total 2');
    expect(text).toContain('sdserve_steps_total 7');
    expect(text).toContain('sdserve_jobs{state="running"} 0');
    expect(text).toContain('path="/sdapi/v1/txt2img",status="200"');
    expect(text).toContain('path="other",status="404"');
    expect(text).not.toContain('stranger');
  });
});

describe('ending the server over HTTP', () => {
  it('is unknown without --api-server-stop', async () => {
    server = await startTestServer();
    expect((await server.post('/sdapi/v1/server-stop')).status).toBe(404);
    expect(server.stops).toEqual([]);
  });

  it('works with it', async () => {
    server = await startTestServer({ flags: ['--api-server-stop'] });
    const response = await server.post('/sdapi/v1/server-stop');
    expect(await response.text()).toBe('Stopping.');
    await server.post('/sdapi/v1/server-kill');
    expect((await server.post('/sdapi/v1/server-restart')).status).toBe(501);
    expect(server.stops).toHaveLength(2);
  });
});

describe('the log', () => {
  it('prints a line as A1111 does with --api-log, without bodies', async () => {
    server = await startTestServer({ flags: ['--api-log'] });
    await server.post('/sdapi/v1/txt2img', { prompt: 'a secret garden' });
    await server.get('/internal/ping');
    const lines = server.logged.filter((line) => line.includes('"API '));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /API \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} 200 http\/1\.1 POST \/sdapi\/v1\/txt2img \S+ \d/,
    );
    expect(server.logged.join()).not.toContain('secret garden');
  });
});
