/** How many threads the engine gets when nobody says. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** The container's CPU quota: `max 100000` or `200000 100000`, microseconds per period. */
const QUOTA_FILE = '/sys/fs/cgroup/cpu.max';

/**
 * Counts the CPUs that this process may use: its affinity, and the quota of its container, which
 * onnxruntime does not see.
 *
 * @returns 1 or more
 */
export function countThreads(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(readQuota() ?? Infinity)));
}

function readQuota(): number | null {
  let content: string;
  try {
    content = readFileSync(QUOTA_FILE, 'utf8');
  } catch {
    return null;
  }
  const [quota = NaN, period = NaN] = content.trim().split(' ').map(Number);
  const cpus = quota / period;
  return Number.isFinite(cpus) && cpus > 0 ? cpus : null;
}
