/** The command itself with the built-in demo checkpoint, for tests of real clients. */
import { type ServerProcess, startServerProcess } from '../process/server-process.ts';

/** Starts it in an empty data folder, so that the demo is what it serves. */
export function startDemoServer(args: string[] = []): Promise<ServerProcess> {
  return startServerProcess(args, [], 'server/main.ts');
}
