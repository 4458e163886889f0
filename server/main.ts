#!/usr/bin/env node
/** The command `sdserve`. */
import { StartError } from './read-flags.ts';
import { readSettings } from './settings.ts';
import { startServer } from './start.ts';

try {
  await startServer(readSettings());
} catch (error) {
  // One line for the terminal; what went wrong inside is of no use to who started it.
  const message = error instanceof Error ? error.message : String(error);
  if (message !== '') process.stderr.write(`sdserve: ${message}\n`);
  process.exit(error instanceof StartError ? error.exitCode : 1);
}
