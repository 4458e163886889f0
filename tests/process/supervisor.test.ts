import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EngineError } from '../../server/engine/protocol.ts';
import { Supervisor, type SupervisorOptions } from '../../server/engine/supervisor.ts';
import { createJob } from './jobs.ts';

const ENTRY = fileURLToPath(new URL('./fake-engine.ts', import.meta.url));
/** Starting under a TypeScript loader on a busy machine takes a while; dying does not. */
const START_MS = 20_000;

let supervisor: Supervisor;

function start(changes: Partial<SupervisorOptions> = {}): Supervisor {
  supervisor = new Supervisor({
    entry: ENTRY,
    execArgv: ['--import', 'tsx'],
    settings: { device: 'cpu', threads: 1, memoryMode: 'normal' },
    ...changes,
  });
  supervisor.start();
  return supervisor;
}

async function untilState(state: string): Promise<void> {
  await vi.waitFor(() => expect(supervisor.status().state).toBe(state), START_MS);
}

async function failure(work: Promise<unknown>): Promise<EngineError> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EngineError)) throw new Error(`expected an EngineError, got ${error}`);
  return error;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

afterEach(() => supervisor.stop());

describe('a sound engine', () => {
  it('runs a job, reports its progress, and is idle again', async () => {
    start();
    const work = supervisor.run(createJob({ prompt: 'delay:60', nIter: 2 }), 'task(a)');
    await vi.waitFor(() => {
      const job = supervisor.progress();
      expect(job?.progress).toMatchObject({ jobCount: 2, samplingSteps: 3 });
      expect(job?.preview?.rgb).toHaveLength(3);
      expect(job?.previewId).toBeGreaterThan(0);
    }, START_MS);
    const result = await work;
    expect(result.images).toHaveLength(2);
    expect(result.info.all_seeds).toEqual([1, 2]);
    expect(supervisor.progress()).toBeNull();
    expect(supervisor.lastJobTimestamp()).toMatch(/^\d{14}$/);
  });

  it('ends an interrupted job within one step and returns what it has', async () => {
    start();
    const work = supervisor.run(createJob({ prompt: 'delay:50', steps: 100, nIter: 5 }), 'a');
    await vi.waitFor(() => expect(supervisor.progress()?.progress).toBeTruthy(), START_MS);
    const began = performance.now();
    expect(supervisor.interrupt()).toBe(true);
    expect(supervisor.progress()?.interrupted).toBe(true);
    const result = await work;
    expect(performance.now() - began).toBeLessThan(50 + 200);
    expect(result.stepsExecuted).toBeLessThan(100);
    expect(result.images).toHaveLength(1);
  });

  it('skips one iteration only', async () => {
    start();
    const work = supervisor.run(createJob({ prompt: 'delay:20', steps: 40, nIter: 2 }), 'a');
    await vi.waitFor(() => expect(supervisor.progress()?.progress).toBeTruthy(), START_MS);
    expect(supervisor.skip()).toBe(true);
    const result = await work;
    expect(result.images).toHaveLength(2);
    expect(result.stepsExecuted).toBeGreaterThanOrEqual(40);
    expect(result.stepsExecuted).toBeLessThan(80);
  });

  it('interrupts when the signal of the job is aborted', async () => {
    start();
    const controller = new AbortController();
    const work = supervisor.run(
      createJob({ prompt: 'delay:20', steps: 150 }),
      'a',
      controller.signal,
    );
    await vi.waitFor(() => expect(supervisor.progress()?.progress).toBeTruthy(), START_MS);
    controller.abort();
    expect((await work).stepsExecuted).toBeLessThan(150);
  });

  it('runs a series as one task whose progress never falls back', async () => {
    start();
    const seen: number[] = [];
    const results = await supervisor.runSeries('a', undefined, async (run) => {
      const parts = [];
      for (let index = 0; index < 3; index++) {
        parts.push(await run(createJob({ prompt: 'delay:5', nIter: 2 }), { index, count: 3 }));
        const { jobNo = -1, jobCount = 0 } = supervisor.progress()?.progress ?? {};
        seen.push(jobNo, jobCount);
      }
      return parts;
    });
    expect(results.map((result) => result?.images.length)).toEqual([2, 2, 2]);
    expect(seen).toEqual([1, 6, 3, 6, 5, 6]);
    expect(supervisor.progress()).toBeNull();
  });

  it('starts no further job of a series that was interrupted', async () => {
    start();
    const parts = await supervisor.runSeries('a', undefined, async (run) => {
      const first = run(createJob({ prompt: 'delay:50', steps: 100 }), { index: 0, count: 2 });
      await vi.waitFor(() => expect(supervisor.progress()?.progress).toBeTruthy(), START_MS);
      supervisor.interrupt();
      return [await first, await run(createJob(), { index: 1, count: 2 })];
    });
    expect(parts[0]?.stepsExecuted).toBeLessThan(100);
    expect(parts[1]).toBeNull();
  });

  it('has nothing to interrupt when it is idle', async () => {
    start();
    await untilState('ready');
    expect(supervisor.interrupt()).toBe(false);
    expect(supervisor.skip()).toBe(false);
  });

  it('brings the code, name and message of a domain error across', async () => {
    start();
    const checkpoint = { path: '/b', name: 'broken', hash: null };
    const error = await failure(supervisor.run(createJob({ checkpoint }), 'a'));
    expect(error).toMatchObject({
      code: 'HEADER_TOO_LARGE',
      name: 'CheckpointError',
      message: 'refused with HEADER_TOO_LARGE',
    });
    expect((await supervisor.run(createJob(), 'b')).images).toHaveLength(1);
  });

  it('answers 12 MiB of pictures', async () => {
    start();
    const bytes = 12 * 1024 * 1024;
    const result = await supervisor.run(createJob({ prompt: `big:${bytes}` }), 'a');
    expect(result.images[0]?.byteLength).toBe(bytes);
  });

  it('refuses a second job while one runs', async () => {
    start();
    const first = supervisor.run(createJob({ prompt: 'delay:50' }), 'a');
    await vi.waitFor(() => expect(supervisor.progress()).not.toBeNull(), START_MS);
    expect((await failure(supervisor.run(createJob(), 'b'))).code).toBe('ENGINE_BUSY');
    expect((await first).images).toHaveLength(1);
  });

  it('tells its memory, also while a step blocks it', async () => {
    start();
    await untilState('ready');
    const idle = await supervisor.memory();
    expect(idle?.rss).toBeGreaterThan(10_000_000);
    const work = supervisor.run(createJob({ prompt: 'block:900', steps: 2 }), 'a');
    await vi.waitFor(() => expect(supervisor.progress()?.progress).toBeTruthy(), START_MS);
    const began = performance.now();
    expect((await supervisor.memory())?.rss).toBeGreaterThan(10_000_000);
    expect(performance.now() - began).toBeLessThan(800);
    await work;
  });

  it('leaves no process behind when it is stopped', async () => {
    start();
    await untilState('ready');
    const { pid } = supervisor.status();
    await supervisor.stop();
    expect(isAlive(pid ?? 0)).toBe(false);
    expect((await failure(supervisor.run(createJob(), 'a'))).code).toBe('ENGINE_UNAVAILABLE');
  });

  it('is stopped within two seconds while a step blocks it', async () => {
    start();
    const work = supervisor.run(createJob({ prompt: 'block:20000' }), 'a');
    const rejected = failure(work);
    await vi.waitFor(() => expect(supervisor.progress()?.progress).toBeTruthy(), START_MS);
    const began = performance.now();
    await supervisor.stop();
    expect(performance.now() - began).toBeLessThan(2_000);
    expect((await rejected).code).toBe('ENGINE_UNAVAILABLE');
  });
});

describe('an engine that dies', () => {
  it.each(['SIGKILL', 'SIGABRT', 'SIGSEGV'] as const)(
    'fails the job on %s and runs the next one',
    async (signal) => {
      const exits: (string | null)[] = [];
      start({ onExit: (cause) => exits.push(cause) });
      const error = await failure(supervisor.run(createJob({ prompt: `signal:${signal}` }), 'a'));
      expect(error.code).toBe('ENGINE_EXITED');
      expect(error.message).toContain(signal);
      expect(supervisor.progress()).toBeNull();
      expect((await supervisor.run(createJob(), 'b')).images).toHaveLength(1);
      expect(exits).toEqual([signal]);
      expect(supervisor.status().restarts).toBe(1);
    },
  );

  it('fails the job within a second of a kill from outside', async () => {
    start();
    const work = supervisor.run(createJob({ prompt: 'delay:100', steps: 150 }), 'a');
    const rejected = failure(work);
    await vi.waitFor(() => expect(supervisor.progress()?.progress).toBeTruthy(), START_MS);
    const began = performance.now();
    process.kill(supervisor.status().pid ?? 0, 'SIGKILL');
    expect((await rejected).code).toBe('ENGINE_EXITED');
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it('tells a checkpoint that changed on disk from SIGBUS and from exit code 135', async () => {
    start();
    const byCode = await failure(supervisor.run(createJob({ prompt: 'exit:135' }), 'a'));
    expect(byCode.code).toBe('CHECKPOINT_CHANGED');
    const bySignal = await failure(supervisor.run(createJob({ prompt: 'signal:SIGBUS' }), 'b'));
    expect(bySignal.code).toBe('CHECKPOINT_CHANGED');
  });

  it('is not in a crash loop when jobs kill it again and again after their first step', async () => {
    start({ backoff: { firstMs: 1, maxMs: 5, loopCount: 2, loopWindowMs: 60_000 } });
    for (let i = 0; i < 4; i++) {
      const error = await failure(supervisor.run(createJob({ prompt: 'exit:1' }), `${i}`));
      expect(error.code).toBe('ENGINE_EXITED');
    }
    expect((await supervisor.run(createJob(), 'last')).images).toHaveLength(1);
  });

  it('stays failed after a crash loop at load until another checkpoint is loaded', async () => {
    start({ backoff: { firstMs: 1, maxMs: 5, loopCount: 2, loopWindowMs: 60_000 } });
    const checkpoint = { path: '/d', name: 'die', hash: null };
    for (let i = 0; i < 2; i++) {
      const error = await failure(supervisor.run(createJob({ checkpoint }), `${i}`));
      expect(error.code).toBe('ENGINE_EXITED');
    }
    expect(supervisor.status().state).toBe('failed');
    expect(supervisor.status().reason).toMatch(/keeps failing/);
    expect((await failure(supervisor.run(createJob(), 'x'))).code).toBe('ENGINE_UNAVAILABLE');
    await supervisor.load({ path: '/t', name: 'tiny', hash: null }, null);
    expect((await supervisor.run(createJob(), 'y')).images).toHaveLength(1);
  });

  it('tries again by itself when the window of the crash loop is over', async () => {
    start({ backoff: { firstMs: 1, maxMs: 5, loopCount: 1, loopWindowMs: 300 } });
    const checkpoint = { path: '/d', name: 'die', hash: null };
    await failure(supervisor.run(createJob({ checkpoint }), 'a'));
    expect(supervisor.status().state).toBe('failed');
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect((await supervisor.run(createJob(), 'b')).images).toHaveLength(1);
  });

  it('gives the reason when the engine cannot be made', async () => {
    start({
      settings: { device: 'cpu', threads: 99, memoryMode: 'normal' },
      backoff: { firstMs: 1, maxMs: 5, loopCount: 2, loopWindowMs: 60_000 },
    });
    const error = await failure(supervisor.run(createJob(), 'a'));
    expect(error.code).toBe('ENGINE_UNAVAILABLE');
    expect(error.message).toContain('no such device');
  });
});

describe('an engine that hangs', () => {
  const watchdog = { loadMs: START_MS, minMs: 300, stepFactor: 5 };

  it('is killed by the watchdog, and the next job runs', async () => {
    start({ watchdog });
    const error = await failure(supervisor.run(createJob({ prompt: 'hang', steps: 5 }), 'a'));
    expect(error.code).toBe('ENGINE_HUNG');
    expect((await supervisor.run(createJob(), 'b')).images).toHaveLength(1);
  });

  it('is killed when it was stopped by SIGSTOP', async () => {
    start({ watchdog });
    const work = supervisor.run(createJob({ prompt: 'delay:20', steps: 150 }), 'a');
    const rejected = failure(work);
    await vi.waitFor(
      () => expect(supervisor.progress()?.progress?.samplingStep).toBeGreaterThan(2),
      START_MS,
    );
    process.kill(supervisor.status().pid ?? 0, 'SIGSTOP');
    expect((await rejected).code).toBe('ENGINE_HUNG');
  });

  it('has more time for the first step of a larger picture', async () => {
    start({ watchdog: { loadMs: 400, minMs: 20_000, stepFactor: 5 } });
    await untilState('ready');
    const small = createJob({ prompt: 'block:1000', steps: 2 });
    expect((await failure(supervisor.run(small, 'a'))).code).toBe('ENGINE_HUNG');
    await untilState('ready');
    const large = createJob({ prompt: 'block:1000', steps: 2, width: 4_096, height: 4_096 });
    expect((await supervisor.run(large, 'b')).stepsExecuted).toBe(2);
  });

  it('may take longer than the shortest limit when its steps are slow', async () => {
    start({ watchdog: { loadMs: START_MS, minMs: 20, stepFactor: 5 } });
    const result = await supervisor.run(createJob({ prompt: 'delay:100', steps: 4 }), 'a');
    expect(result.stepsExecuted).toBe(4);
  });
});
