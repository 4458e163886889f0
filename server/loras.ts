/** The LoRAs that prompts may name, with their hashes. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  findLora,
  findPickle,
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
import { watchFolders } from './folder-watch.ts';
import { type InspectedFile, Inspections } from './inspections.ts';
import type { Logger } from './logging.ts';
import { removeParts } from './lora-files.ts';
import type { Settings } from './settings.ts';

type LoraSettings = Pick<Settings, 'loraDir' | 'loraUpload' | 'demoDir' | 'dataDir'>;

export class Loras {
  readonly #settings: LoraSettings;
  readonly #usesDemo: () => boolean;
  readonly #log: Logger;
  readonly #hashes: LoraHashes;
  readonly #closed = new AbortController();
  /** Files that the log has told of, and those that could not be hashed. */
  readonly #told = new Set<string>();
  readonly #unhashed = new Set<string>();
  #catalogue: LoraCatalogue = { entries: [], ids: new Map(), skipped: [], pickles: [] };
  #scanning: Promise<void> = Promise.resolve();
  #isHashing = false;
  /** What was found out about files. */
  readonly inspections = new Inspections();

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
    if (settings.loraUpload) await removeParts(settings.loraDir);
    await loras.refresh();
    return loras;
  }

  get entries(): readonly LoraEntry[] {
    return this.#catalogue.entries;
  }

  /** Looks through the folders again, after any look that goes on, so that the newest one counts. */
  refresh(): Promise<void> {
    this.#scanning = this.#scanning.catch(() => {}).then(() => this.#scan());
    return this.#scanning;
  }

  /** Looks again whenever something changes in the LoRA folder, until `close`. */
  watch(): void {
    const stop = watchFolders([this.#settings.loraDir], () => {
      this.refresh().catch((error: unknown) =>
        this.#log.warn({ error }, 'the LoRA folder could not be listed'),
      );
    });
    this.#closed.signal.addEventListener('abort', stop, { once: true });
  }

  async #scan(): Promise<void> {
    const { loraDir, demoDir } = this.#settings;
    const dirs = this.#usesDemo() ? [loraDir, join(demoDir, 'Lora')] : [loraDir];
    this.#catalogue = await scanLoras(dirs, this.#hashes, this.#catalogue);
    for (const { name, reason } of this.#catalogue.skipped) {
      if (this.#told.has(name)) continue;
      this.#told.add(name);
      this.#log.warn({ file: name, reason }, 'LoRA left out');
    }
    void this.#hashAll();
  }

  /** Computes the missing hashes of the newest catalogue, one file after the other. */
  async #hashAll(): Promise<void> {
    if (this.#isHashing) return;
    this.#isHashing = true;
    const keyOf = ({ path, bytes, mtimeMs }: LoraEntry) => `${path} ${bytes} ${mtimeMs}`;
    const isMissing = (entry: LoraEntry) =>
      (entry.sha256 === null || entry.infotextHash === null) && !this.#unhashed.has(keyOf(entry));
    for (;;) {
      const entry = this.#catalogue.entries.find(isMissing);
      if (entry === undefined || this.#closed.signal.aborted) break;
      await hashLoras({ entries: [entry] }, this.#hashes, this.#closed.signal);
      if (entry.sha256 === null || entry.infotextHash === null) this.#unhashed.add(keyOf(entry));
    }
    this.#isHashing = false;
  }

  /** Finds a LoRA by any name that a tag may use; null when there is none. */
  find(name: string): LoraEntry | null {
    return findLora(this.#catalogue, name);
  }

  /** Finds a file that is not listed because it is a pickle; null when there is none. */
  findPickle(name: string): (InspectedFile & { filename: string }) | null {
    const file = findPickle(this.#catalogue, name);
    return file && { ...file, name: file.name.replace(/\.\w+$/, ''), folder: 'Lora' };
  }

  /**
   * Finds a LoRA that a client names by path: as the list has it, below the folder, or one of the
   * client's own, of which the last part counts.
   */
  findByPath(path: string): LoraEntry | null {
    return this.entries.find(({ filename }) => filename === path) ?? this.find(path);
  }

  /** Finds a LoRA by its file: name as listed, or path below the folder; null when there is none. */
  findFile(name: string): LoraEntry | null {
    const entry = findLora(this.#catalogue, name);
    if (entry === null) return null;
    const file = entry.name.replaceAll('\\', '/');
    const own = [entry.loraName, file, file.replace(/\.safetensors$/i, '')];
    return own.includes(name) ? entry : null;
  }

  /** What a tag would call a LoRA by its alias, where that names it; else by its name. */
  callName(entry: LoraEntry | null): string | undefined {
    return entry && this.find(entry.alias) === entry ? entry.alias : entry?.loraName;
  }

  /** Names that a prompt's tags say, each once. */
  namesIn(prompt: string): string[] {
    const { requests } = readLoraTags(extractNetworkTags(prompt).tags);
    return [...new Set(requests.map(({ name }) => name))];
  }

  /**
   * Finds the files that a prompt's tags name; for a name that is not known the folder is looked
   * through once more, as the web UI does.
   *
   * @returns a file for each name that exists, called as its tag calls it
   */
  async findForPrompt(prompt: string): Promise<LoraRef[]> {
    const names = this.namesIn(prompt);
    if (names.some((name) => findLora(this.#catalogue, name) === null)) await this.refresh();
    return names.flatMap((name) => {
      const entry = findLora(this.#catalogue, name);
      return entry === null ? [] : [{ ...toLoraRef(entry), name }];
    });
  }

  /** Stops watching and computing hashes. */
  close(): void {
    this.#closed.abort();
  }
}
