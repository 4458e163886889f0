/** A checkpoint that changes on disk: the next picture is right or an error, never a mixture. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobHooks } from '../../pipelines/job.ts';
import { createRunner } from '../../pipelines/runner.ts';
import { makeCached } from '../networks/fixture.ts';
import { makeJob, recordHooks } from './job.ts';
import { copyTiny, F32_OPTIONS, SETTINGS, SMALL, toFile } from './tiny.ts';

let folder: string;
let file: string;
/** Pictures of the two checkpoints that take turns. */
let pictures: [first: Uint8Array, second: Uint8Array];
const runner = createRunner(SETTINGS);

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-changed-'));
  file = path.join(folder, 'model.safetensors');
  const made = [];
  for (const seed of [1, 2]) made.push(await draw(copyTiny(file, seed)));
  pictures = made as typeof pictures;
  expect(pictures[0]).not.toEqual(pictures[1]);
});
afterAll(async () => {
  await runner.unload();
  fs.rmSync(folder, { recursive: true, force: true });
});

/** Returns the picture of a job. */
async function draw(path: string, hooks: JobHooks = recordHooks()): Promise<Uint8Array> {
  // A file system's clock may tick only every few milliseconds.
  await setTimeout(20);
  const job = makeJob(path, { ...SMALL, prompt: 'a fox' });
  const { images } = await runner.run({ ...job, checkpoint: toFile(path) }, hooks);
  return images[0] as Uint8Array;
}

/** Hooks that do something to the file after the second step. */
function during(change: () => void): JobHooks {
  return {
    ...recordHooks(),
    onProgress({ samplingStep }) {
      if (samplingStep === 1) change();
    },
  };
}

function replaceBy(seed: number): void {
  const part = path.join(folder, 'model.safetensors.part');
  copyTiny(part, seed);
  fs.renameSync(part, file);
}

function overwriteBy(seed: number): void {
  const bytes = fs.readFileSync(makeCached({ ...F32_OPTIONS, seed }));
  const fd = fs.openSync(file, 'r+');
  fs.writeSync(fd, bytes);
  fs.closeSync(fd);
}

const remove = () => fs.unlinkSync(file);

/** A new file, and nothing in memory. */
async function restart(seed: number): Promise<void> {
  await runner.unload();
  replaceBy(seed);
}

const CHANGED = { name: 'CheckpointError', code: 'FILE_CHANGED' };
const CUT_SHORT = {
  name: 'CheckpointError',
  code: 'OFFSETS_PAST_END',
  message: expect.stringContaining('model.safetensors'),
};
const GONE = { name: 'CheckpointError', code: 'NOT_FOUND' };

// Loading takes most of the time: one test goes through several changes in a row.
describe('between two jobs', () => {
  it('the next picture is of the file as it is then', async () => {
    replaceBy(1);
    expect(await draw(file), 'replaced by rename').toEqual(pictures[0]);
    overwriteBy(2);
    expect(await draw(file), 'overwritten in place').toEqual(pictures[1]);
  });

  it('a truncated file is an error that names it, and its replacement works', async () => {
    fs.truncateSync(file, 1_000_000);
    await expect(draw(file)).rejects.toMatchObject(CUT_SHORT);
    await expect(draw(file)).rejects.toMatchObject(CUT_SHORT);
    replaceBy(1);
    expect(await draw(file)).toEqual(pictures[0]);
  });

  it('a deleted file is an error, although its networks are still in memory', async () => {
    remove();
    await expect(draw(file)).rejects.toMatchObject(GONE);
  });
});

describe('while the first job of a model runs, which loads the decoder after the last step', () => {
  it('a file replaced by rename is an error', async () => {
    await restart(1);
    await expect(
      draw(
        file,
        during(() => replaceBy(2)),
      ),
    ).rejects.toMatchObject(CHANGED);
    expect(await draw(file)).toEqual(pictures[1]);
  });

  it('a file overwritten in place is an error', async () => {
    await restart(1);
    await expect(
      draw(
        file,
        during(() => overwriteBy(2)),
      ),
    ).rejects.toMatchObject(CHANGED);
  });

  it('a deleted file is an error', async () => {
    await restart(1);
    await expect(draw(file, during(remove))).rejects.toMatchObject(CHANGED);
    await expect(draw(file)).rejects.toMatchObject(GONE);
  });
});

describe('while a job samples with all its networks in memory', () => {
  it('a file replaced by rename serves that job to its end, the new one serves the next', async () => {
    await restart(1);
    await draw(file);
    expect(
      await draw(
        file,
        during(() => replaceBy(2)),
      ),
    ).toEqual(pictures[0]);
    expect(await draw(file)).toEqual(pictures[1]);
  });

  it('a file overwritten in place is an error, because the mapped weights were mixed', async () => {
    await expect(
      draw(
        file,
        during(() => overwriteBy(1)),
      ),
    ).rejects.toMatchObject(CHANGED);
    expect(await draw(file)).toEqual(pictures[0]);
  });

  it('a deleted file serves that job to its end', async () => {
    expect(await draw(file, during(remove))).toEqual(pictures[0]);
    await expect(draw(file)).rejects.toMatchObject(GONE);
  });
});
