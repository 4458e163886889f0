/** Takes a measurement in a process of its own. */
import { fork } from 'node:child_process';
import path from 'node:path';
import { withHugePages } from '../server/engine/huge-pages.ts';
import type { Measures } from './child.ts';

/**
 * Runs one measure of `child.ts`; what the child prints on stderr is printed.
 *
 * @throws Error when the child ends without a result, with its exit code or signal
 */
export function runChild<Name extends keyof Measures>(
  name: Name,
  options: Parameters<Measures[Name]>[0],
): ReturnType<Measures[Name]> {
  process.stderr.write(`${name} ...\n`);
  // This file's own extension: .ts under a loader, .js when built.
  const entry = path.join(import.meta.dirname, `child${path.extname(import.meta.filename)}`);
  return new Promise((resolve, reject) => {
    const child = fork(entry, [], {
      env: withHugePages(process.env),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.once('message', resolve);
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      reject(new Error(`Measuring ${name} ended with ${signal ?? `code ${code}`}.`)),
    );
    child.send({ name, options });
  }) as ReturnType<Measures[Name]>;
}
