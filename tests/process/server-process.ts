/** Starts the server as a process of its own, with a folder that holds one checkpoint. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface ServerProcess {
  child: ChildProcess;
  url: string;
  folder: string;
  /** What it wrote so far, both streams. */
  output(): string;
  /** Exit code or signal. */
  ended: Promise<number | string>;
  post(path: string, body?: unknown): Promise<Response>;
  get(path: string): Promise<Response>;
  close(): Promise<void>;
}

/** Finds a port that nobody listens on. */
export function findPort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

/** Starts the command and does not wait for it. */
export async function spawnServer(
  args: string[] = [],
  checkpoints: string[] = ['tiny'],
  script = 'tests/process/fake-server.ts',
): Promise<ServerProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'sdserve-process-'));
  const models = join(folder, 'models', 'Stable-diffusion');
  mkdirSync(models, { recursive: true });
  for (const name of checkpoints) writeFileSync(join(models, `${name}.safetensors`), name);
  const port = await findPort();
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(ROOT, script), '--data-dir', folder, '--port', `${port}`, ...args],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (part: Buffer) => {
      text += part.toString('utf8');
    });
  }
  const ended = new Promise<number | string>((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? signal ?? ''));
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    child,
    url,
    folder,
    output: () => text,
    ended,
    get: (path) => fetch(url + path),
    post: (path, body) =>
      fetch(url + path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body ?? {}),
      }),
    close: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Starts the command and waits until a job would start. */
export async function startServerProcess(...options: Parameters<typeof spawnServer>) {
  const server = await spawnServer(...options);
  const until = performance.now() + 30_000;
  for (;;) {
    const isReady = await server.get('/health/ready').then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) return server;
    if (performance.now() > until || server.child.exitCode !== null) {
      throw new Error(`the server did not start:\n${server.output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The id of the engine process, from the log. */
export function enginePid(server: ServerProcess): number {
  const lines = server.output().matchAll(/"pid":(\d+),"msg":"engine ready"/g);
  return Number([...lines].at(-1)?.[1] ?? 0);
}

/** Whether a process runs; one that only waits to be collected by its new parent does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const state = /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
    return state !== 'Z' && state !== 'X';
  } catch (error) {
    // Systems without /proc: the signal was taken, so it is there.
    const isElsewhere = process.platform !== 'linux';
    return isElsewhere && !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
