import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QueueFile } from '../../../server/jobs/queue-file.ts';
import type { JobSpec } from '../../../server/jobs/record.ts';
import { createLogger } from '../../../server/logging.ts';

let folder: string;
let path: string;
const logged: string[] = [];
const log = createLogger('trace', { write: (line: string) => void logged.push(line) });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sdserve-queue-'));
  path = join(folder, 'queue.json');
  logged.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const job: JobSpec = {
  id: 'a',
  kind: 'txt2img',
  body: { prompt: 'x', lora: [{ name: 'y' }] },
  callback: { url: 'https://a.example/', form: 'multipart' },
  name: null,
  createdMs: 5,
  starts: 1,
};

describe('a queue file', () => {
  it('gives back what was saved, and nothing when it is not there', async () => {
    const file = new QueueFile(path, log);
    expect(await file.load()).toEqual([]);
    await file.save(() => [job, { ...job, id: 'b', callback: null }]);
    expect(await new QueueFile(path, log).load()).toEqual([
      job,
      { ...job, id: 'b', callback: null },
    ]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('is whole at every moment and leaves no parts behind', async () => {
    const file = new QueueFile(path, log);
    let last: Promise<void> = Promise.resolve();
    for (let i = 0; i < 200; i++) {
      last = file.save(() => [{ ...job, id: `${i}` }]);
      if (i % 20 === 0) await new Promise(setImmediate);
      if (readdirSync(folder).includes('queue.json')) JSON.parse(readFileSync(path, 'utf8'));
    }
    await last;
    expect((await file.load())[0]?.id).toBe('199');
    expect(readdirSync(folder)).toEqual(['queue.json']);
  });

  it.each(['', '{', '[]', '{"version":2,"jobs":[]}', '{"version":1,"jobs":[{"id":5}]}'])(
    'refuses %j and leaves it as it is',
    async (text) => {
      writeFileSync(path, text);
      await expect(new QueueFile(path, log).load()).rejects.toThrow(/not a queue of jobs/);
      expect(readFileSync(path, 'utf8')).toBe(text);
    },
  );

  it('tells the log when it cannot be written', async () => {
    const file = new QueueFile(join(folder, 'none', 'queue.json'), log);
    await file.save(() => [job]);
    expect(logged.join()).toContain('could not be saved');
  });
});
