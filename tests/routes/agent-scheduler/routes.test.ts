import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  HistoryResponse,
  Outcome,
  SchedulerQueueResponse,
  TaskModel,
} from '../../../openapi/schemas/agent-scheduler.ts';
import type { JobResult } from '../../../pipelines/job.ts';
import { startTestServer, type TestServer } from '../../http/test-server.ts';

const ROOT = '/agent-scheduler/v1';

let server: TestServer;
let release: () => void;

beforeEach(async () => {
  server = await startTestServer({ checkpoints: ['tiny.safetensors', 'other.safetensors'] });
  for (const entry of server.context.models.checkpoints) await server.context.models.toFile(entry);
  const waiting: (() => void)[] = [];
  let isOpen = false;
  release = () => {
    isOpen = true;
    for (const go of waiting) go();
  };
  server.engine.work = (job, signal) =>
    new Promise<Partial<JobResult>>((resolve, reject) => {
      const end = () => {
        if ('prompt' in job && job.prompt === 'fail') reject(new Error('boom'));
        else resolve({ info: { infotexts: ['one', 'two'] } });
      };
      if (isOpen) return end();
      waiting.push(end);
      signal?.addEventListener('abort', end);
    });
});
afterEach(() => server.close());

async function queue(body: object): Promise<string> {
  const response = await server.post(`${ROOT}/queue/txt2img`, body);
  expect(response.status).toBe(200);
  return ((await response.json()) as { task_id: string }).task_id;
}

async function get(path: string): Promise<unknown> {
  return (await server.get(ROOT + path)).json();
}

async function act(method: 'POST' | 'DELETE' | 'PUT', path: string, body?: object) {
  const init = body === undefined ? {} : { body: JSON.stringify(body) };
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(server.url + ROOT + path, { method, headers, ...init });
  return Outcome.parse(await response.json());
}

async function readQueue() {
  return SchedulerQueueResponse.parse(await get('/queue'));
}

async function history(query = '') {
  return HistoryResponse.parse(await get(`/history${query}`));
}

async function task(id: string) {
  const { data } = Outcome.parse(await get(`/task/${id}`));
  return TaskModel.parse(data);
}

const until = (id: string, status: string) =>
  vi.waitFor(async () => expect((await task(id)).status).toBe(status), 5_000);

describe('the queue', () => {
  it('shows what runs and waits, with requests but without pictures', async () => {
    const first = await queue({ prompt: 'a', steps: 4, alwayson_scripts: {} });
    const second = await queue({ prompt: 'b', checkpoint: 'other', vae: 'None' });
    await until(first, 'running');
    const { current_task_id, pending_tasks, total_pending_tasks, paused } = await readQueue();
    expect([current_task_id, total_pending_tasks, paused]).toEqual([first, 2, false]);
    expect(pending_tasks.map(({ id, position, status }) => [id, position, status])).toEqual([
      [first, 0, 'running'],
      [second, 1, 'pending'],
    ]);
    expect(pending_tasks[0]?.params).toMatchObject({ prompt: 'a', steps: 4 });
    expect(pending_tasks[0]?.params).not.toHaveProperty('alwayson_scripts');
    expect(pending_tasks[1]?.params).toMatchObject({ checkpoint: 'other' });
    expect(typeof pending_tasks[0]?.created_at).toBe('number');
    expect(await get(`/task/${second}/position`)).toEqual({
      success: true,
      data: { status: 'pending', position: 0 },
    });
    release();
    await until(second, 'done');
    expect(server.engine.jobs[1]).toMatchObject({ checkpoint: { name: 'other' } });
  });

  it('refuses what the endpoint of the web UI refuses', async () => {
    const response = await server.post(`${ROOT}/queue/txt2img`, { steps: 0 });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ detail: [{ loc: ['body', 'steps'] }] });
    const local = await server.post(`${ROOT}/queue/txt2img`, { callback_url: 'http://127.0.0.1' });
    expect(local.status).toBe(422);
  });

  it('can be paused, run one by one, resumed and cleared', async () => {
    release();
    expect(await act('POST', '/queue/pause')).toEqual({ success: true, message: 'Queue paused.' });
    const [a, b, c] = [await queue({}), await queue({}), await queue({})];
    expect(await readQueue()).toMatchObject({ paused: true, total_pending_tasks: 3 });
    expect(await act('POST', `/task/${b}/run`)).toMatchObject({ message: 'Task is executing' });
    await until(b, 'done');
    expect((await server.post('/sdapi/v1/txt2img', {})).status).toBe(200);
    expect((await task(a)).status).toBe('pending');
    expect(await act('POST', '/resume')).toMatchObject({ success: true });
    await until(c, 'done');
    await act('POST', '/pause');
    await queue({});
    expect(await act('POST', '/queue/clear')).toMatchObject({ message: 'Queue cleared.' });
    expect(await readQueue()).toMatchObject({ total_pending_tasks: 0 });
  });

  it('can be ordered', async () => {
    await act('POST', '/queue/pause');
    const [a, b, c] = [await queue({}), await queue({}), await queue({})];
    const order = async () => (await readQueue()).pending_tasks.map(({ id }) => id);
    await act('POST', `/task/${c}/move/top`);
    expect(await order()).toEqual([c, a, b]);
    await act('POST', `/move/${b}/${a}`);
    expect(await order()).toEqual([c, b, a]);
    await act('POST', `/task/${c}/move/bottom`);
    expect(await order()).toEqual([b, a, c]);
    expect(await act('POST', `/task/${c}/move/nobody`)).toMatchObject({ success: false });
  });

  it('can be changed while it waits, in its place', async () => {
    await act('POST', '/queue/pause');
    const [a, b] = [await queue({ prompt: 'old' }), await queue({})];
    expect(await act('PUT', `/task/${a}`, { name: 'mine', params: { prompt: 'new' } })).toEqual({
      success: true,
      message: 'Task updated.',
    });
    expect((await readQueue()).pending_tasks.map(({ id }) => id)).toEqual([a, b]);
    expect(await task(a)).toMatchObject({ name: 'mine', params: { prompt: 'new' } });
    const bad = await fetch(`${server.url}${ROOT}/task/${a}`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json' },
      body: '{"params":{"steps":0}}',
    });
    expect(bad.status).toBe(422);
    expect((await task(a)).params).toMatchObject({ prompt: 'new' });
  });

  it('can be exported and imported', async () => {
    await act('POST', '/queue/pause');
    await queue({ prompt: 'kept' });
    const exported = JSON.stringify(await get('/export'));
    await act('POST', '/queue/clear');
    expect(await act('POST', '/import', { content: exported })).toMatchObject({ success: true });
    const { pending_tasks } = await readQueue();
    expect(pending_tasks.map(({ params }) => params.prompt)).toEqual(['kept']);
    expect(await act('POST', '/import', { content: '{' })).toMatchObject({ success: false });
  });
});

describe('the history', () => {
  it('shows what ended, the newest first, by status', async () => {
    release();
    const good = await queue({ prompt: 'a', batch_size: 2 });
    const bad = await queue({ prompt: 'fail' });
    await until(bad, 'failed');
    const all = await history();
    expect(all.tasks.map(({ id }) => id)).toEqual([bad, good]);
    expect(all.tasks[0]?.result).toBe('boom');
    expect(JSON.parse(all.tasks[1]?.result ?? '')).toMatchObject({ infotexts: ['one', 'two'] });
    expect((await history('?status=failed')).total).toBe(1);
    await act('POST', `/task/${good}/bookmark`);
    expect((await history('?status=bookmarked')).tasks[0]).toMatchObject({ bookmarked: true });
    await act('POST', `/unbookmark/${good}`);
    expect((await history('?status=bookmarked')).total).toBe(0);
    expect(await act('POST', '/history/clear')).toMatchObject({ success: true });
    expect((await history()).total).toBe(0);
  });

  it('has the pictures with their infotexts', async () => {
    release();
    const id = await queue({ batch_size: 2, send_images: false });
    await until(id, 'done');
    expect(await get(`/task/${id}/results`)).toEqual({
      success: true,
      data: [
        { image: Buffer.from('picture 0').toString('base64'), infotext: 'one' },
        { image: Buffer.from('picture 1').toString('base64'), infotext: 'two' },
      ],
    });
  });

  it.runIf(existsSync('/usr/bin/python3'))('has them as a zip file that others read', async () => {
    release();
    const id = await queue({ batch_size: 2 });
    await until(id, 'done');
    const response = await server.get(`${ROOT}/results/${id}?zip=true`);
    expect(response.headers.get('content-type')).toBe('application/zip');
    const folder = mkdtempSync(join(tmpdir(), 'sdserve-zip-'));
    writeFileSync(join(folder, 'a.zip'), Buffer.from(await response.arrayBuffer()));
    const listing = execFileSync('/usr/bin/python3', ['-m', 'zipfile', '-t', 'a.zip'], {
      cwd: folder,
    });
    expect(String(listing)).toContain('Done testing');
    execFileSync('/usr/bin/python3', ['-m', 'zipfile', '-e', 'a.zip', '.'], { cwd: folder });
    expect(existsSync(join(folder, '00001.png'))).toBe(true);
    rmSync(folder, { recursive: true });
  });

  it('runs tasks again', async () => {
    release();
    const id = await queue({ prompt: 'fail' });
    await until(id, 'failed');
    await act('POST', `/task/${id}/rename?name=mine`);
    expect(await act('POST', `/task/${id}/requeue`)).toMatchObject({ message: 'Task requeued' });
    await vi.waitFor(async () => expect((await history()).total).toBe(2));
    expect((await history()).tasks.map(({ name }) => name)).toEqual(['Copy of mine', 'mine']);
    expect(await act('POST', '/task/requeue-failed')).toMatchObject({
      message: 'Requeued 2 failed tasks',
    });
    await vi.waitFor(() => expect(server.engine.jobs).toHaveLength(4));
  });
});

describe('deleting', () => {
  it('interrupts what runs and forgets what waits', async () => {
    const [a, b] = [await queue({}), await queue({})];
    await until(a, 'running');
    expect(await act('DELETE', `/task/${b}`)).toMatchObject({ message: 'Task deleted' });
    expect(await get(`/task/${b}`)).toEqual({ success: false, message: 'Task not found' });
    expect(await act('POST', `/delete/${a}`)).toMatchObject({ message: 'Task interrupted' });
    await until(a, 'interrupted');
    expect(await get(`/task/${a}/results`)).toEqual({
      success: false,
      message: 'Task is interrupted',
    });
  });

  it('of a task that is not there says so', async () => {
    for (const path of ['/task/x', '/task/x/position', '/task/x/results']) {
      expect(await get(path)).toEqual({ success: false, message: 'Task not found' });
    }
    for (const path of ['/task/x/run', '/task/x/requeue', '/task/x/bookmark', '/delete/x']) {
      expect(await act('POST', path)).toEqual({ success: false, message: 'Task not found' });
    }
  });
});

describe('lists', () => {
  it('name samplers and checkpoints', async () => {
    expect(await get('/samplers')).toContain('Euler a');
    expect(await get('/sd-models')).toHaveLength(2);
  });
});
