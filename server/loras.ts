/** The LoRAs that prompts may name, with their hashes. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  findLora,
  hashLoras,
  type LoraCatalogue,
  type LoraEntry,
  type LoraHashes,
  openLoraHashes,
  scanLoras,
  toLoraRef,
} from '../lora/catalogue.ts';
import { extractNetworkTags } from '../lora/syntax.ts';
import { readLoraTags } from '../lora/tags.ts';
import type { LoraRef } from '../pipelines/job.ts';
import type { Logger } from './logging.ts';
import type { Settings } from './settings.ts';

type LoraSettings = Pick<Settings, 'loraDir' | 'demoDir' | 'dataDir'>;

export class Loras {
  readonly #settings: LoraSettings;
  readonly #usesDemo: () => boolean;
  readonly #log: Logger;
  readonly #hashes: LoraHashes;
  readonly #closed = new AbortController();
  #catalogue: LoraCatalogue = { entries: [], ids: new Map(), skipped: [] };

  private constructor(
    settings: LoraSettings,
    usesDemo: () => boolean,
    log: Logger,
    hashes: LoraHashes,
  ) {
    this.#settings = settings;
    this.#usesDemo = usesDemo;
    this.#log = log;
    this.#hashes = hashes;
  }

  /**
   * Looks through the folder and begins to compute the hashes that are not known yet.
   *
   * @param usesDemo  whether the demo's LoRAs are listed, too: when its checkpoint is the only one
   */
  static async open(settings: LoraSettings, usesDemo: () => boolean, log: Logger): Promise<Loras> {
    const folder = join(settings.dataDir, '.cache');
    const path = await mkdir(folder, { recursive: true }).then(
      () => join(folder, 'lora-hashes'),
      () => null,
    );
    const loras = new Loras(settings, usesDemo, log, await openLoraHashes(path));
    await loras.refresh();
    return loras;
  }

  get entries(): readonly LoraEntry[] {
    return this.#catalogue.entries;
  }

  /** Looks through the folders again. */
  async refresh(): Promise<void> {
    const { loraDir, demoDir } = this.#settings;
    const dirs = this.#usesDemo() ? [loraDir, join(demoDir, 'Lora')] : [loraDir];
    this.#catalogue = await scanLoras(dirs, this.#hashes, this.#catalogue);
    for (const { name, reason } of this.#catalogue.skipped)
      this.#log.warn({ file: name, reason }, 'LoRA left out');
    void hashLoras(this.#catalogue, this.#hashes, this.#closed.signal);
  }

  /**
   * Finds the files that a prompt's tags name; for a name that is not known the folder is looked
   * through once more, as the web UI does.
   *
   * @returns a file for each name that exists, called as its tag calls it
   */
  async findForPrompt(prompt: string): Promise<LoraRef[]> {
    const { requests } = readLoraTags(extractNetworkTags(prompt).tags);
    const names = [...new Set(requests.map(({ name }) => name))];
    if (names.some((name) => findLora(this.#catalogue, name) === null)) await this.refresh();
    return names.flatMap((name) => {
      const entry = findLora(this.#catalogue, name);
      return entry === null ? [] : [{ ...toLoraRef(entry), name }];
    });
  }

  /** Stops computing hashes. */
  close(): void {
    this.#closed.abort();
  }
}
