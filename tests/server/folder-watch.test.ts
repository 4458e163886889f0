import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { watchFolders } from '../../server/folder-watch.ts';

let dir: string;
let stop: (() => void) | undefined;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-watch-'));
});
afterEach(() => {
  stop?.();
  fs.rmSync(dir, { recursive: true });
});

it('tells of a new file in a subfolder once, when all of it is there', async () => {
  fs.mkdirSync(path.join(dir, 'sub'));
  const onChange = vi.fn();
  stop = watchFolders([dir], onChange);
  // The first look, and the system needs a moment before it tells of changes.
  await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(1), 5_000);
  onChange.mockClear();
  for (const text of ['a', 'ab', 'abc']) fs.writeFileSync(path.join(dir, 'sub', 'x'), text);
  await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(1), 5_000);
});

it('looks again and again where nothing can be watched yet', async () => {
  const onChange = vi.fn();
  const folder = path.join(dir, 'later');
  stop = watchFolders([folder], onChange, 50);
  await vi.waitFor(() => expect(onChange.mock.calls.length).toBeGreaterThan(1), 5_000);
});

it('notices a folder that is made later, and what is in it', async () => {
  const onChange = vi.fn();
  const folder = path.join(dir, 'later');
  stop = watchFolders([folder], onChange);
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, 'x'), 'x');
  await vi.waitFor(() => expect(onChange).toHaveBeenCalledTimes(1), 5_000);
});

it('says nothing after its end', async () => {
  const onChange = vi.fn();
  watchFolders([dir], onChange, 50)();
  fs.writeFileSync(path.join(dir, 'x'), 'x');
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(onChange).not.toHaveBeenCalled();
});
