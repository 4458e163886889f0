import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { z } from 'zod';
import { Job, JobList } from '../../openapi/schemas/jobs.ts';
import type { JobResult } from '../../pipelines/job.ts';
import { restoreJobs } from '../../routes/submit-job.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';

type JobView = z.infer<typeof Job>;

const JOBS = '/sdserve/v1/jobs';

let server: TestServer;

beforeEach(async () => {
  server = await startTestServer({ flags: ['--queue-size', '3'] });
  await server.context.models.toFile(server.context.models.checkpoints[0]!);
});
afterEach(() => server.close());

async function submit(request: object, rest: object = {}) {
  const response = await server.post(JOBS, { kind: 'txt2img', request, ...rest });
  return { response, job: (await response.json()) as JobView };
}

async function read(id: string, query = ''): Promise<JobView> {
  return Job.parse(await (await server.get(`${JOBS}/${encodeURIComponent(id)}${query}`)).json());
}

async function until(id: string, status: JobView['status']): Promise<JobView> {
  await vi.waitFor(async () => expect((await read(id)).status).toBe(status), 5_000);
  return read(id);
}

/** Makes jobs wait in the engine until they are let go or interrupted. */
function hold(): () => void {
  const waiting: (() => void)[] = [];
  let isOpen = false;
  server.engine.work = (_job, signal) =>
    new Promise<Partial<JobResult>>((resolve) => {
      if (isOpen) return resolve({});
      waiting.push(() => resolve({}));
      signal?.addEventListener('abort', () => resolve({}));
    });
  return () => {
    isOpen = true;
    for (const go of waiting) go();
  };
}

describe('a submitted job', () => {
  it('is answered at once with 202, an id and its place, and then runs', async () => {
    const release = hold();
    const first = await submit({ prompt: 'a', force_task_id: 'one' });
    const second = await submit({ prompt: 'b', force_task_id: 'two/ü' }, { name: 'my boat' });
    expect(first.response.status).toBe(202);
    expect(Job.parse(second.job)).toEqual(second.job);
    expect(second.response.headers.get('location')).toBe(`${JOBS}/two%2F%C3%BC`);
    expect(await until('one', 'running')).toMatchObject({ position: null, ended_at: null });
    expect(await read('two/ü')).toMatchObject({ status: 'pending', position: 0, name: 'my boat' });
    release();
    expect(await until('two/ü', 'done')).toMatchObject({ progress: 1, error: null });
    expect(server.engine.jobs.map(({ kind }) => kind)).toEqual(['txt2img', 'txt2img']);
  });

  it('answers what the endpoint of its kind answers', async () => {
    const body = { prompt: 'a cat', seed: 7, force_task_id: 'cat' };
    await submit(body);
    await until('cat', 'done');
    const result = await (await server.get(`${JOBS}/cat/result`)).json();
    const direct = await (await server.post('/sdapi/v1/txt2img', body)).json();
    expect(result).toEqual(direct);
  });

  it('is told to /internal/progress under its id, and has an id when it names none', async () => {
    const { job } = await submit({});
    expect(job.id).toMatch(/^task\(txt2img-[A-Z0-9]{7}\)$/);
    await until(job.id, 'done');
    const progress = await server.post('/internal/progress', { id_task: job.id });
    expect(await progress.json()).toMatchObject({ completed: true });
  });

  it('shows progress, phase and preview while it runs', async () => {
    hold();
    await submit({ force_task_id: 'x' });
    await until('x', 'running');
    server.engine.snapshot = {
      taskId: 'x',
      jobTimestamp: '20260101000000',
      elapsedSeconds: 2,
      progress: {
        job: 'Batch 1 out of 2',
        jobNo: 0,
        jobCount: 2,
        samplingStep: 5,
        samplingSteps: 10,
      },
      previewId: 1,
      preview: { width: 2, height: 2, rgb: new Uint8Array(12) },
      interrupted: false,
      skipped: false,
    };
    const job = await read('x', '?preview=true');
    expect(job).toMatchObject({ progress: 0.25, eta_seconds: 6, phase: 'Batch 1 out of 2' });
    expect(job.preview).toMatch(/^data:image\/png;base64,iVBOR/);
    expect((await read('x')).preview).toBeNull();
  });

  it('keeps the error of its own endpoint when it fails', async () => {
    server.engine.work = async () => {
      throw new Error('boom');
    };
    await submit({ force_task_id: 'bad' });
    expect((await until('bad', 'failed')).error).toEqual({ status: 500, message: 'boom' });
    const result = await server.get(`${JOBS}/bad/result`);
    expect(result.status).toBe(500);
    expect(await result.json()).toMatchObject({ error: 'Error', errors: 'boom' });
  });
});

describe('a job that cannot be taken', () => {
  it('is refused with the place of the fault in the whole body', async () => {
    const { response } = await submit({ steps: 0 });
    expect(response.status).toBe(422);
    const missing = await server.post(JOBS, {});
    expect(await missing.json()).toMatchObject({ detail: [{ loc: ['body', 'request'] }] });
    const again = await server.post(JOBS, { request: { steps: 0 } });
    expect(await again.json()).toMatchObject({ detail: [{ loc: ['body', 'request', 'steps'] }] });
  });

  it.each([
    [{ kind: 'video' }, 400, 'txt2img'],
    [{ callback_url: 'ftp://a.example/' }, 422, 'http or https'],
    [{ callback_url: 'http://u:p@a.example/' }, 422, 'user name'],
    [{ callback_url: 'http://127.0.0.1:1/' }, 422, 'local'],
    [{ callback_url: 'http://[::1]/' }, 422, 'local'],
    [{ callback_url: 'http://2130706433/' }, 422, 'local'],
    [{ callback_url: 'http://localhost/' }, 422, 'local'],
  ])('is refused: %j', async (rest, status, text) => {
    const { response, job } = await submit({}, rest);
    expect(response.status).toBe(status);
    expect(JSON.stringify(job)).toContain(text);
    expect(server.context.jobs.list()).toEqual([]);
  });

  it('is a 409 when its id is known', async () => {
    await submit({ force_task_id: 'same' });
    const { response, job } = await submit({ force_task_id: 'same' });
    expect(response.status).toBe(409);
    expect(job).toMatchObject({ code: 'DUPLICATE_JOB' });
  });

  it('is a 429 with Retry-After when as many wait as may, while others still get in', async () => {
    const release = hold();
    for (let i = 0; i < 4; i++) expect((await submit({})).response.status).toBe(202);
    const { response } = await submit({});
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    const direct = server.post('/sdapi/v1/txt2img', {});
    await vi.waitFor(() => expect(server.context.queue.waiting).toHaveLength(4));
    release();
    expect((await direct).status).toBe(200);
  });
});

describe('the list', () => {
  it('has the newest first, by status and page', async () => {
    const release = hold();
    for (const id of ['a', 'b', 'c']) await submit({ force_task_id: id });
    await until('a', 'running');
    const list = async (query: string) =>
      JobList.parse(await (await server.get(JOBS + query)).json());
    expect((await list('')).jobs.map(({ id }) => id)).toEqual(['c', 'b', 'a']);
    const pending = await list('?status=pending');
    expect([pending.total, pending.jobs.map(({ id }) => id)]).toEqual([2, ['c', 'b']]);
    expect((await list('?limit=1&offset=1')).jobs.map(({ id }) => id)).toEqual(['b']);
    expect((await server.get(`${JOBS}?limit=-1`)).status).toBe(422);
    release();
    await until('c', 'done');
  });
});

describe('cancelling', () => {
  const cancel = (id: string) => server.get(`${JOBS}/${id}`, { method: 'DELETE' });

  it('takes a waiting job out of the queue; it never runs', async () => {
    const release = hold();
    await submit({ force_task_id: 'a' });
    await submit({ force_task_id: 'b' });
    expect(await (await cancel('b')).json()).toMatchObject({ status: 'cancelled', position: null });
    expect(server.context.queue.waiting).toEqual([]);
    const result = await server.get(`${JOBS}/b/result`);
    expect(result.status).toBe(409);
    expect(await result.json()).toMatchObject({ code: 'JOB_HAS_NO_ANSWER' });
    release();
    await until('a', 'done');
    expect(server.engine.jobs).toHaveLength(1);
  });

  it('interrupts a running job, which keeps what it has', async () => {
    hold();
    await submit({ force_task_id: 'a' });
    await until('a', 'running');
    expect((await cancel('a')).status).toBe(200);
    await until('a', 'interrupted');
    expect((await server.get(`${JOBS}/a/result`)).status).toBe(200);
  });

  it('forgets a job that has ended', async () => {
    await submit({ force_task_id: 'a' });
    await until('a', 'done');
    expect((await cancel('a')).status).toBe(200);
    expect((await server.get(`${JOBS}/a`)).status).toBe(404);
    expect((await cancel('a')).status).toBe(404);
  });
});

describe('the stream', () => {
  it('tells each change and ends with the job', async () => {
    const release = hold();
    await submit({ force_task_id: 'a' });
    await submit({ force_task_id: 'b' });
    const response = await server.get(`${JOBS}/b/events`);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    setTimeout(release, 400);
    const events = (await response.text())
      .split('\n\n')
      .filter((event) => event.startsWith('event: '))
      .map((event) => {
        const [head = '', data = ''] = event.split('\n');
        return { event: head.slice(7), job: Job.parse(JSON.parse(data.slice(6))) };
      });
    expect(events[0]).toMatchObject({ event: 'status', job: { status: 'pending', position: 0 } });
    expect(events.at(-1)).toMatchObject({ event: 'end', job: { status: 'done', progress: 1 } });
  });

  it('of a job that has ended is one event', async () => {
    await submit({ force_task_id: 'a' });
    await until('a', 'done');
    expect(await (await server.get(`${JOBS}/a/events`)).text()).toMatch(/^event: end\ndata: \{/);
  });
});

describe('jobs of an earlier run', () => {
  const spec = { kind: 'txt2img', callback: null, name: null, createdMs: 1, starts: 0 };

  it('run in their order; those that cannot be prepared have failed', async () => {
    server.context.jobs.expect([
      { ...spec, id: 'a', body: { prompt: 'first' } },
      { ...spec, id: 'b', body: { steps: 0 } },
      { ...spec, id: 'c', body: {}, starts: 2 },
      { ...spec, id: 'd', body: { prompt: 'last' }, starts: 1 },
    ]);
    await restoreJobs(server.context);
    await until('d', 'done');
    expect(server.engine.jobs.map(({ prompt }) => prompt)).toEqual(['first', 'last']);
    expect((await read('b')).error?.message).toContain('steps');
    expect((await read('c')).error?.message).toContain('cut off');
    expect(server.context.jobs.expected).toEqual([]);
  });
});

describe('a client that leaves', () => {
  it('does not end its picture when the server is told to finish them', async () => {
    await server.close();
    server = await startTestServer({ flags: ['--finish-abandoned-jobs'] });
    const release = hold();
    const controller = new AbortController();
    const request = server
      .post('/sdapi/v1/txt2img', undefined, {
        body: '{"force_task_id":"left"}',
        headers: { 'Content-Type': 'application/json' },
        signal: controller.signal,
      })
      .catch(() => null);
    await vi.waitFor(() => expect(server.context.queue.running).toBe('left'));
    controller.abort();
    await request;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.context.queue.running).toBe('left');
    release();
    await vi.waitFor(() => expect(server.context.queue.finished).toContain('left'));
  });
});
