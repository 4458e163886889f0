import { afterEach, describe, expect, it, vi } from 'vitest';
import type { JobSpec } from '../../../server/jobs/record.ts';
import { JOB_LIMITS, JobStore, type JobStoreOptions } from '../../../server/jobs/store.ts';

const stores: JobStore[] = [];

afterEach(() => {
  for (const store of stores.splice(0)) store.close();
});

function open(options: JobStoreOptions = {}): JobStore {
  const store = new JobStore(options);
  stores.push(store);
  return store;
}

function spec(id: string, body: Record<string, unknown> = {}): JobSpec {
  return { id, kind: 'txt2img', body, callback: null, name: null, createdMs: 0, starts: 0 };
}

async function finish(store: JobStore, id: string, answer: unknown = {}): Promise<void> {
  const job = store.add(spec(id), async () => answer);
  await vi.waitFor(() => expect(job.status).toBe('done'));
}

describe('ended jobs', () => {
  it('are forgotten after their time', async () => {
    let now = 1_000;
    const store = open({ limits: { ...JOB_LIMITS, keptMs: 500 }, now: () => now });
    await finish(store, 'a');
    now += 500;
    expect(store.get('a')?.status).toBe('done');
    now += 1;
    expect(store.get('a')).toBeUndefined();
    expect(store.list()).toEqual([]);
  });

  it('go when there are too many, the oldest first and bookmarked ones last', async () => {
    const store = open({ limits: { ...JOB_LIMITS, keptJobs: 2 } });
    await finish(store, 'a');
    store.get('a')!.isBookmarked = true;
    for (const id of ['b', 'c', 'd']) await finish(store, id);
    expect(store.list().map(({ id }) => id)).toEqual(['a', 'd']);
  });

  it('go when they hold too many bytes', async () => {
    const store = open({ limits: { ...JOB_LIMITS, keptBytes: 250 } });
    for (const id of ['a', 'b', 'c']) await finish(store, id, { x: 'y'.repeat(100) });
    expect(store.list().map(({ id }) => id)).toEqual(['b', 'c']);
  });
});

describe('waiting jobs', () => {
  it('are never forgotten, and refused when their requests are too large', () => {
    const store = open({ limits: { ...JOB_LIMITS, keptJobs: 0, keptMs: 0, pendingBytes: 50 } });
    const forever = () => new Promise(() => {});
    store.add(spec('a', { x: 'y'.repeat(30) }), forever);
    expect(() => store.add(spec('b', { x: 'y'.repeat(30) }), forever)).toThrow(/50 bytes/);
    expect(store.list().map(({ id }) => id)).toEqual(['a']);
  });
});

describe('what is saved', () => {
  it('is every job that has not ended, those of an earlier run included', async () => {
    let saved: string[] = [];
    const store = open({
      save: async (read) => {
        saved = read().map(({ id, starts }) => `${id} ${starts}`);
      },
    });
    store.expect([spec('old'), spec('older')]);
    let end: (answer: object) => void = () => {};
    const job = store.add(spec('a'), () => new Promise((resolve) => (end = resolve)));
    expect(saved).toEqual(['a 0', 'old 0', 'older 0']);
    store.started(job);
    expect(saved[0]).toBe('a 1');
    store.addFailed(spec('old'), new Error('no'));
    expect(saved).toEqual(['a 1', 'older 0']);
    end({});
    await vi.waitFor(() => expect(saved).toEqual(['older 0']));
  });

  it('keeps a job that the end of the server cuts off, as if it had not been tried', async () => {
    let saved: string[] = [];
    const store = open({
      save: async (read) => {
        saved = read().map(({ id, starts }) => `${id} ${starts}`);
      },
    });
    let fail: (error: Error) => void = () => {};
    const job = store.add(spec('a'), () => new Promise((_, reject) => (fail = reject)));
    store.started(job);
    store.close();
    fail(new Error('The server is shutting down.'));
    await new Promise(setImmediate);
    expect(saved).toEqual(['a 0']);
  });
});
