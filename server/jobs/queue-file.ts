/** The jobs that wait, kept on disk so that they survive a restart. */
import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Logger } from '../logging.ts';
import type { JobSpec } from './record.ts';

/** Largest file that is read: the bound of waiting requests, with room for what is around them. */
const MAX_FILE_BYTES = 300 * 1024 * 1024;
const VERSION = 1;

const StoredJobs = z.object({
  version: z.literal(VERSION),
  jobs: z.array(
    z.object({
      id: z.string(),
      kind: z.string(),
      body: z.record(z.string(), z.unknown()),
      callback: z.object({ url: z.string(), form: z.enum(['json', 'multipart']) }).nullable(),
      name: z.string().nullable(),
      createdMs: z.number(),
      starts: z.number().int(),
    }),
  ),
});

export class QueueFile {
  readonly #path: string;
  readonly #log: Logger;
  #saving: Promise<void> | null = null;
  #next: (() => readonly JobSpec[]) | null = null;

  /** @param path  the JSON file; its folder must be there */
  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  /**
   * Reads the jobs of the last run; none when there is no file.
   *
   * @throws Error with one line when the file is there and is not a queue: it is never overwritten
   */
  async load(): Promise<JobSpec[]> {
    try {
      const { size } = await stat(this.#path);
      if (size > MAX_FILE_BYTES) throw new Error('it is too large');
      return StoredJobs.parse(JSON.parse(await readFile(this.#path, 'utf8'))).jobs;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
      throw new Error(`${this.#path} is not a queue of jobs: repair it or move it away`);
    }
  }

  /**
   * Writes the jobs: beside the file, then renamed over it, so that it is always whole. While a
   * write goes on, later calls share one that follows it.
   *
   * @param read  called when the write begins
   */
  save(read: () => readonly JobSpec[]): Promise<void> {
    this.#next = read;
    this.#saving ??= this.#saveAll().finally(() => {
      this.#saving = null;
    });
    return this.#saving;
  }

  async #saveAll(): Promise<void> {
    while (this.#next !== null) {
      const jobs = this.#next().map(({ id, kind, body, callback, name, createdMs, starts }) => ({
        ...{ id, kind, body, callback, name, createdMs, starts },
      }));
      this.#next = null;
      const part = `${this.#path}.${randomUUID()}.part`;
      try {
        // Prompts and pictures are nobody else's business.
        await writeFile(part, JSON.stringify({ version: VERSION, jobs }), { mode: 0o600 });
        await rename(part, this.#path);
      } catch (error) {
        await rm(part, { force: true }).catch(() => {});
        this.#log.error({ error }, 'the waiting jobs could not be saved');
      }
    }
  }
}
