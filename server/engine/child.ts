/** The engine process itself: fork, channel, output, end. */
import { type ChildProcess, fork } from 'node:child_process';
import { withHugePages } from './huge-pages.ts';
import type { EngineReply, EngineRequest } from './protocol.ts';

/** Characters of one piece of output that reach the log. */
const MAX_OUTPUT_CHARS = 2_000;
/** How long the engine gets to leave by itself once the channel is closed, ms. */
const LEAVE_MS = 1_000;

export interface ChildHandlers {
  onReply(reply: EngineReply): void;
  onExit(code: number | null, signal: NodeJS.Signals | null): void;
  /** Text that the process or a library in it wrote. */
  onOutput(level: 'debug' | 'warn', text: string): void;
}

export interface EngineChild {
  readonly pid: number | null;
  /** Drops the request when the process is gone: its exit tells that. */
  send(request: EngineRequest): void;
  kill(): void;
  /** Closes the channel, which ends the process; kills it when a step keeps it. */
  leave(): Promise<void>;
}

/**
 * Starts the process.
 *
 * @param entry     path of its module
 * @param execArgv  Node's own flags
 */
export function forkEngine(
  entry: string,
  execArgv: string[],
  handlers: ChildHandlers,
): EngineChild {
  const child = fork(entry, [], {
    serialization: 'advanced',
    execArgv,
    env: withHugePages(process.env),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const output = (level: 'debug' | 'warn') => (data: Buffer) =>
    handlers.onOutput(level, data.toString('utf8').trim().slice(0, MAX_OUTPUT_CHARS));
  child.on('message', (reply) => handlers.onReply(reply as EngineReply));
  child.on('error', (error) => handlers.onOutput('warn', error.message));
  child.on('exit', handlers.onExit);
  child.stdout?.on('data', output('debug'));
  child.stderr?.on('data', output('warn'));
  return {
    pid: child.pid ?? null,
    send: (request) => {
      if (child.connected) child.send(request, () => {});
    },
    kill: () => void child.kill('SIGKILL'),
    leave: () => leave(child),
  };
}

async function leave(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), LEAVE_MS);
  await gone;
  clearTimeout(timer);
}
