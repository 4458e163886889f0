/** The real command with the engine of `fake-engine.ts`. */
import { fileURLToPath } from 'node:url';
import { StartError } from '../../server/read-flags.ts';
import { readSettings } from '../../server/settings.ts';
import { startServer } from '../../server/start.ts';

const entry = fileURLToPath(new URL('./fake-engine.ts', import.meta.url));

try {
  await startServer(readSettings(), { entry, execArgv: ['--import', 'tsx'] });
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exit(error instanceof StartError ? error.exitCode : 1);
}
