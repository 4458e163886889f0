import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { type ServerProcess, startServerProcess } from './server-process.ts';

let server: ServerProcess;
const folder = mkdtempSync(join(tmpdir(), 'sdserve-queue-'));

afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const status = async (id: string) =>
  ((await (await server.get(`/sdserve/v1/jobs/${id}`)).json()) as { status?: string }).status;

it('jobs that wait survive a killed server, and run in their order after the restart', async () => {
  const file = join(folder, 'queue.json');
  server = await startServerProcess(['--queue-file', file]);
  const submit = (id: string, prompt: string, steps: number) =>
    server.post('/sdserve/v1/jobs', { request: { prompt, steps, force_task_id: id } });
  expect((await submit('long', 'delay:50', 150)).status).toBe(202);
  expect((await submit('next', 'a', 2)).status).toBe(202);
  await vi.waitFor(async () => expect(await status('long')).toBe('running'), 10_000);
  expect(await status('next')).toBe('pending');
  server.child.kill('SIGKILL');
  await server.ended;
  await server.close();
  const kept = JSON.parse(readFileSync(file, 'utf8')) as { jobs: { id: string; starts: number }[] };
  expect(kept.jobs.map(({ id, starts }) => [id, starts])).toEqual([
    ['long', 1],
    ['next', 0],
  ]);

  server = await startServerProcess(['--queue-file', file]);
  await vi.waitFor(async () => expect(await status('long')).toBe('running'), 10_000);
  expect(await status('next')).toBe('pending');
  // The one that was cut off once is ended by hand, so that the test need not wait for it.
  await fetch(`${server.url}/sdserve/v1/jobs/long`, { method: 'DELETE' });
  await vi.waitFor(async () => expect(await status('next')).toBe('done'), 20_000);
  expect(await status('long')).toBe('interrupted');
  await vi.waitFor(() => expect(JSON.parse(readFileSync(file, 'utf8')).jobs).toEqual([]));
});
