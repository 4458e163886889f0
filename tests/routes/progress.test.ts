import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ProgressSnapshot } from '../../server/engine/supervisor.ts';
import { startTestServer, type TestServer } from '../http/test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());
beforeEach(() => {
  server.engine.snapshot = null;
  server.engine.work = async () => ({});
});

async function progress(query = ''): Promise<Record<string, unknown>> {
  const response = await server.get(`/sdapi/v1/progress${query}`);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

async function taskProgress(body: object): Promise<Record<string, unknown>> {
  const response = await server.post('/internal/progress', body);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

/** Step 5 of 20 in the second of four iterations. */
function snapshot(changes: Partial<ProgressSnapshot> = {}): ProgressSnapshot {
  return {
    taskId: 'task(a)',
    jobTimestamp: '20260101120000',
    elapsedSeconds: 12,
    progress: {
      job: 'Batch 2 out of 4',
      jobNo: 1,
      jobCount: 4,
      samplingStep: 5,
      samplingSteps: 20,
    },
    previewId: 3,
    preview: { width: 2, height: 2, rgb: new Uint8Array(12).fill(200) },
    interrupted: false,
    skipped: false,
    ...changes,
  };
}

const PNG = [0x89, 0x50, 0x4e, 0x47];
const JPEG = [0xff, 0xd8];

describe('GET /sdapi/v1/progress', () => {
  it('is all zero when idle', async () => {
    expect(await progress()).toEqual({
      progress: 0,
      eta_relative: 0,
      state: {
        skipped: false,
        interrupted: false,
        stopping_generation: false,
        job: '',
        job_count: 0,
        job_timestamp: '0',
        job_no: 0,
        sampling_step: 0,
        sampling_steps: 0,
      },
      current_image: null,
      textinfo: null,
    });
  });

  it('adds up iterations and steps as A1111 does', async () => {
    server.engine.snapshot = snapshot();
    const answer = await progress();
    const share = 0.01 + 1 / 4 + 5 / 20 / 4;
    expect(answer.progress).toBeCloseTo(share, 12);
    expect(answer.eta_relative).toBeCloseTo(12 / share - 12, 9);
    expect(answer.state).toMatchObject({
      job: 'Batch 2 out of 4',
      job_no: 1,
      job_count: 4,
      sampling_step: 5,
      sampling_steps: 20,
      job_timestamp: '20260101120000',
    });
  });

  it('never passes 1', async () => {
    const full = { job: '', jobNo: 4, jobCount: 4, samplingStep: 0, samplingSteps: 20 };
    server.engine.snapshot = snapshot({ progress: full });
    expect((await progress()).progress).toBe(1);
  });

  it('says -1 jobs before they are known', async () => {
    server.engine.snapshot = snapshot({ progress: null, preview: null, previewId: 0 });
    expect(await progress()).toMatchObject({ progress: 0.01, state: { job_count: -1 } });
  });

  it('shows the preview in the format of the samples, unless it is skipped', async () => {
    server.engine.snapshot = snapshot();
    const image = Buffer.from(String((await progress()).current_image), 'base64');
    expect([...image.subarray(0, 4)]).toEqual(PNG);
    expect((await progress('?skip_current_image=true')).current_image).toBeNull();
    await server.post('/sdapi/v1/options', { samples_format: 'jpg' });
    const jpeg = Buffer.from(String((await progress()).current_image), 'base64');
    expect([...jpeg.subarray(0, 2)]).toEqual(JPEG);
    await server.post('/sdapi/v1/options', { samples_format: 'png' });
  });

  it('survives a preview that cannot be encoded', async () => {
    server.engine.snapshot = snapshot({
      previewId: 99,
      preview: { width: 2, height: 2, rgb: new Uint8Array(1) },
    });
    expect((await progress()).current_image).toBeNull();
  });

  it('names the query field that it cannot read', async () => {
    const response = await server.get('/sdapi/v1/progress?skip_current_image=perhaps');
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({
      detail: [{ loc: ['query', 'skip_current_image'], type: 'value_error.boolean' }],
    });
  });
});

describe('POST /internal/progress', () => {
  it('knows running, waiting, ended and unknown tasks', async () => {
    let finish: () => void = () => {};
    server.engine.work = () =>
      new Promise((resolve) => {
        finish = () => resolve({});
      });
    const draw = (id: string) => server.post('/sdapi/v1/txt2img', { force_task_id: id });
    const running = draw('running');
    await vi.waitFor(() => expect(server.context.queue.running).toBe('running'));
    const waiting = draw('waiting');
    await vi.waitFor(() => expect(server.context.queue.waiting).toEqual(['waiting']));

    const pending = await server.get('/internal/pending-tasks');
    expect(await pending.json()).toEqual({ size: 2, tasks: ['running', 'waiting'] });
    expect(await taskProgress({ id_task: 'running' })).toMatchObject({
      active: true,
      queued: false,
      completed: false,
    });
    expect(await taskProgress({ id_task: 'waiting' })).toMatchObject({
      active: false,
      queued: true,
      textinfo: 'In queue: 1/1',
      progress: null,
      id_live_preview: -1,
    });
    expect(await taskProgress({ id_task: 'unknown' })).toMatchObject({
      active: false,
      queued: false,
      completed: false,
      textinfo: 'Waiting...',
    });

    finish();
    await running;
    server.engine.work = async () => ({});
    await vi.waitFor(() => expect(server.context.queue.running).toBe('waiting'));
    finish();
    await waiting;
    expect(await taskProgress({ id_task: 'running' })).toMatchObject({
      active: false,
      completed: true,
    });
  });

  it('gives the share without the first hundredth, and a preview only when it is new', async () => {
    server.engine.snapshot = snapshot();
    const first = await taskProgress({ id_task: 'task(a)', id_live_preview: -1 });
    expect(first.progress).toBeCloseTo(1 / 4 + 5 / 20 / 4, 12);
    expect(first.live_preview).toMatch(/^data:image\/png;base64,iVBORw0KGgo/);
    expect(first.id_live_preview).toBe(3);
    const second = await taskProgress({ id_task: 'task(a)', id_live_preview: 3 });
    expect(second).toMatchObject({ live_preview: null, id_live_preview: 3 });
    const third = await taskProgress({ id_task: 'task(a)', live_preview: false });
    expect(third.live_preview).toBeNull();
  });

  it('answers an empty object, and a body of nulls', async () => {
    const idle = { active: false, queued: false, completed: false };
    expect(await taskProgress({})).toMatchObject(idle);
    expect(
      await taskProgress({ id_task: null, id_live_preview: null, live_preview: null }),
    ).toMatchObject(idle);
  });
});

describe('interrupt and skip', () => {
  it('reach the engine', async () => {
    await server.post('/sdapi/v1/interrupt');
    await server.post('/sdapi/v1/skip');
    expect(server.engine).toMatchObject({ interrupts: 1, skips: 1 });
  });
});
