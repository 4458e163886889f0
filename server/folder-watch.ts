/** Notices changes below folders, on file systems that tell of them and on those that do not. */
import { type FSWatcher, watch } from 'node:fs';

/** Milliseconds without another change before one is told: files are copied in many writes. */
const QUIET_MS = 500;
/**
 * Milliseconds between two looks that no event asked for: network and container mounts send none,
 * and a folder may be made after the start. A look costs one `stat` per file.
 */
const POLL_MS = 20_000;
/** Milliseconds between two attempts to watch a folder that is not there yet. */
const ATTACH_MS = 1_000;

/** Ends the watching. */
export type StopWatching = () => void;

/**
 * Calls a function after changes below some folders, and at least every 20 s.
 *
 * @param onChange  looks through the folders; its failures are its own business
 * @param pollMs    for tests
 */
export function watchFolders(
  folders: readonly string[],
  onChange: () => void,
  pollMs = POLL_MS,
): StopWatching {
  const watchers = new Map<string, FSWatcher>();
  let quiet: NodeJS.Timeout | undefined;
  const notice = (): void => {
    clearTimeout(quiet);
    quiet = setTimeout(onChange, QUIET_MS).unref();
  };
  const attach = (): void => {
    for (const folder of folders) {
      if (watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { recursive: true, persistent: false }, notice);
        watchers.set(folder, watcher);
        // What was put there before it was watched.
        notice();
        watcher.on('error', () => {
          // Removed, or the system is out of watches: the next attempt may do better.
          watchers.delete(folder);
          watcher.close();
        });
      } catch {
        // Not there yet, or not to be watched: polling goes on.
      }
    }
  };
  attach();
  const attempts = setInterval(attach, ATTACH_MS).unref();
  const poll = setInterval(onChange, pollMs).unref();
  return () => {
    clearInterval(attempts);
    clearInterval(poll);
    clearTimeout(quiet);
    for (const watcher of watchers.values()) watcher.close();
    watchers.clear();
  };
}
