import type { Dirent, Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/** Deepest folder below a root that is looked at. */
const MAX_FOLDER_DEPTH = 16;
/** Most files of one scan; a slip such as `--ckpt-dir /` must end. */
const MAX_FILES = 20_000;

/** A file that a scan found. */
export interface FoundFile {
  /** Path below the root it was found in, with the system's separators; what users know it by. */
  name: string;
  /** Absolute path as found: root and name. */
  filename: string;
  /** The same with symbolic links resolved. */
  path: string;
  bytes: number;
  mtimeMs: number;
}

/** Something a scan passed over, and why. */
export interface SkippedFile {
  name: string;
  reason: string;
}

export interface FolderScan {
  files: FoundFile[];
  skipped: SkippedFile[];
}

/**
 * Lists the files below some folders, in the order people expect (`a2` before `a10`).
 *
 * Symbolic links are followed wherever they lead: they are the operator's, who put them there.
 * Missing roots are passed over in silence, as not every installation has every folder.
 *
 * @param roots    folders; one inside another does not list its files twice
 * @param matches  which names to list, by name below the root
 */
export async function scanFolders(
  roots: readonly string[],
  matches: (name: string) => boolean,
): Promise<FolderScan> {
  const scan: FolderScan = { files: [], skipped: [] };
  const seen = new Set<string>();
  for (const root of roots) {
    await scanFolder(path.resolve(root), '', [], matches, scan, seen);
  }
  return scan;
}

async function scanFolder(
  root: string,
  below: string,
  parents: readonly string[],
  matches: (name: string) => boolean,
  scan: FolderScan,
  seen: Set<string>,
): Promise<void> {
  let real: string;
  let entries: Dirent[];
  try {
    real = await realpath(path.join(root, below));
    entries = await readdir(real, { withFileTypes: true });
  } catch (error) {
    if (below !== '') scan.skipped.push({ name: below, reason: reasonOf(error) });
    return;
  }
  // A link to a folder above would be listed for ever.
  if (parents.includes(real) || parents.length > MAX_FOLDER_DEPTH) return;
  entries.sort((a, b) => compareNames(a.name, b.name));
  for (const entry of entries) {
    const name = path.join(below, entry.name);
    if (scan.files.length >= MAX_FILES) {
      scan.skipped.push({ name, reason: `more than ${MAX_FILES} files` });
      return;
    }
    if (entry.isFile() && !matches(name)) continue;
    const filename = path.join(root, name);
    if (seen.has(filename)) continue;
    seen.add(filename);
    let stats: Stats;
    let target: string;
    try {
      stats = await stat(filename);
      // Here, too: the file may be gone by now.
      target = await realpath(filename);
    } catch (error) {
      if (matches(name)) scan.skipped.push({ name, reason: reasonOf(error) });
      continue;
    }
    if (stats.isDirectory()) {
      seen.delete(filename);
      await scanFolder(root, name, [...parents, real], matches, scan, seen);
    } else if (stats.isFile() && matches(name)) {
      const { size: bytes, mtimeMs } = stats;
      scan.files.push({ name, filename, path: target, bytes, mtimeMs });
    }
  }
}

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/** Orders names as people do: upper and lower case alike, numbers by their value. */
export function compareNames(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : Number(a > b));
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  if (code === 'ENOENT') return 'the link leads nowhere';
  if (code === 'ELOOP') return 'the link leads back to itself';
  if (code === 'EACCES' || code === 'EPERM') return 'no permission to read it';
  return `the system cannot read it (${code})`;
}
