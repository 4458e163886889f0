/** The textual inversion embeddings that prompts may name, with their hashes. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type EmbeddingCatalogue,
  type EmbeddingEntry,
  type EncoderWidth,
  findCandidates,
  HashCache,
  scanEmbeddings,
  shortHashOf,
  toEmbeddingLists,
} from '../lora/embeddings/catalogue.ts';
import type { EmbeddingRef } from '../pipelines/job.ts';
import { watchFolders } from './folder-watch.ts';
import type { Logger } from './logging.ts';
import type { Settings } from './settings.ts';

export class Embeddings {
  readonly #folder: string;
  readonly #log: Logger;
  readonly #hashes: HashCache;
  readonly #closed = new AbortController();
  /** Names of files that the log has told of. */
  readonly #told = new Set<string>();
  #isWatched = false;
  #scanning: Promise<void> = Promise.resolve();
  #catalogue: EmbeddingCatalogue = { entries: [], skipped: [] };

  private constructor(folder: string, log: Logger, hashes: HashCache) {
    this.#folder = folder;
    this.#log = log;
    this.#hashes = hashes;
  }

  /** Looks through the folder. */
  static async open(
    settings: Pick<Settings, 'embeddingsDir' | 'dataDir'>,
    log: Logger,
  ): Promise<Embeddings> {
    const folder = join(settings.dataDir, '.cache');
    const path = await mkdir(folder, { recursive: true }).then(
      () => join(folder, 'embedding-hashes.json'),
      () => null,
    );
    const embeddings = new Embeddings(settings.embeddingsDir, log, await HashCache.open(path));
    await embeddings.refresh();
    return embeddings;
  }

  /** Looks through the folder again, after any look that goes on, so that the newest one counts. */
  refresh(): Promise<void> {
    this.#scanning = this.#scanning.catch(() => {}).then(() => this.#scan());
    return this.#scanning;
  }

  async #scan(): Promise<void> {
    this.#catalogue = await scanEmbeddings([this.#folder], this.#catalogue);
    const faulty = this.#catalogue.entries.filter(({ fault }) => fault !== null);
    const left = faulty.map(({ name, fault }) => ({ name, reason: fault }));
    for (const { name, reason } of [...left, ...this.#catalogue.skipped]) {
      if (this.#told.has(name)) continue;
      this.#told.add(name);
      this.#log.warn({ file: name, reason }, 'embedding left out');
    }
  }

  /** Looks again whenever something changes in the folder, until `close`. */
  watch(): void {
    this.#isWatched = true;
    const stop = watchFolders([this.#folder], () => {
      this.refresh().catch((error: unknown) =>
        this.#log.warn({ error }, 'the embeddings folder could not be listed'),
      );
    });
    this.#closed.signal.addEventListener('abort', stop, { once: true });
  }

  /** Finds a file by its name without extension; null when there is none. */
  find(name: string): EmbeddingEntry | null {
    return this.#catalogue.entries.find(({ embeddingName }) => embeddingName === name) ?? null;
  }

  /**
   * Finds the embeddings that prompts may name, those that cannot be used included; the hashes of
   * the usable ones are computed if they are not known. A folder that is not watched is looked
   * through first, as the web UI does before each job.
   */
  async findForPrompts(prompts: readonly string[]): Promise<EmbeddingRef[]> {
    if (!this.#isWatched) await this.refresh();
    const entries = findCandidates(this.#catalogue, prompts);
    return Promise.all(
      entries.map(async (entry): Promise<EmbeddingRef> => {
        const { embeddingName: name, path, vectors, widths, fault } = entry;
        if (fault === null) {
          // Removed or unreadable meanwhile: the engine says so when the prompt names it.
          await this.#hashes.compute(entry, this.#closed.signal).catch(() => null);
        }
        return { name, path, vectors, widths, fault, hash: shortHashOf(entry, this.#hashes) };
      }),
    );
  }

  /**
   * The answer of `GET /sdapi/v1/embeddings`.
   *
   * @param encoders  of the checkpoint in use; null when it is not known
   */
  list(encoders: readonly EncoderWidth[] | null): ReturnType<typeof toEmbeddingLists> {
    return toEmbeddingLists(this.#catalogue, encoders);
  }

  /** Stops watching and computing hashes. */
  close(): void {
    this.#closed.abort();
  }
}
