/** The checkpoints and VAEs that requests may name, with their hashes. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CheckpointCatalogue,
  type CheckpointEntry,
  findCheckpoint,
  findClosestCheckpoint,
  HashCache,
  hashCheckpoints,
  readTextWidths,
  resolveVae,
  scanCheckpoints,
  scanVaes,
  type VaeCatalogue,
} from '../networks/checkpoint/catalogue.ts';
import type { ModelFile } from '../pipelines/job.ts';
import type { Logger } from './logging.ts';
import type { Settings } from './settings.ts';

/** Hex digits of a hash in titles and infotexts. */
const SHORT_HASH_DIGITS = 10;

type ModelSettings = Pick<Settings, 'checkpointDirs' | 'vaeDirs' | 'demoDir' | 'dataDir'>;

export class Models {
  readonly #settings: ModelSettings;
  readonly #log: Logger;
  readonly #hashes: HashCache;
  readonly #hashing = new Map<string, Promise<void>>();
  readonly #closed = new AbortController();
  #checkpoints: CheckpointCatalogue = { entries: [], ids: new Map(), skipped: [] };
  #vaes: VaeCatalogue = { entries: [], names: new Map(), skipped: [] };
  #usesDemo = false;
  /** Of the checkpoint that was asked for last. */
  #widths: { key: string; widths: Awaited<ReturnType<typeof readTextWidths>> } = {
    key: '',
    widths: null,
  };
  #refreshing: Promise<void> | null = null;
  #scanning: Promise<void> = Promise.resolve();

  private constructor(settings: ModelSettings, log: Logger, hashes: HashCache) {
    this.#settings = settings;
    this.#log = log;
    this.#hashes = hashes;
  }

  /** Looks through the folders and begins to compute the hashes that are not known yet. */
  static async open(settings: ModelSettings, log: Logger): Promise<Models> {
    const folder = join(settings.dataDir, '.cache');
    const path = await mkdir(folder, { recursive: true }).then(
      () => join(folder, 'hashes.json'),
      () => null,
    );
    const models = new Models(settings, log, await HashCache.open(path));
    await models.refresh();
    return models;
  }

  /** Whether only the built-in checkpoint is there. */
  get usesDemo(): boolean {
    return this.#usesDemo;
  }

  get checkpoints(): readonly CheckpointEntry[] {
    return this.#checkpoints.entries;
  }

  get vaes(): VaeCatalogue['entries'] {
    return this.#vaes.entries;
  }

  /** Looks through the folders again; who asks while that goes on shares the answer. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    await this.#scan();
    for (const { name, reason } of [...this.#checkpoints.skipped, ...this.#vaes.skipped]) {
      this.#log.warn({ file: name, reason }, 'model file left out');
    }
    if (this.#usesDemo) this.#log.info('no checkpoint of your own: the built-in demo is used');
    void this.#hashAll();
  }

  /** Stops computing hashes. */
  close(): void {
    this.#closed.abort();
  }

  /** Finds a checkpoint by any id that A1111 accepts; null when there is none. */
  find(id: string): CheckpointEntry | null {
    return findCheckpoint(this.#checkpoints, id);
  }

  /** Finds a checkpoint by an id or a part of its title, as fields for further checkpoints do. */
  findClosest(text: string): CheckpointEntry | null {
    return findClosestCheckpoint(this.#checkpoints, text);
  }

  /**
   * The checkpoint that an option means: the one it names, else the first; null without any. A title
   * whose file was replaced since has another hash in brackets: then the name before them counts.
   */
  current(id: string | null): CheckpointEntry | null {
    const named = id === null ? null : (this.find(id) ?? this.find(withoutHash(id)));
    return named ?? this.#checkpoints.entries[0] ?? null;
  }

  /** Whether a VAE setting is a word of A1111 or a file that is there. */
  knowsVae(setting: string): boolean {
    return resolveVae(this.#vaes, setting, '').source !== 'unknown';
  }

  /** Role and width of a checkpoint's text encoders; null when its header cannot be used. */
  async textWidths(entry: CheckpointEntry): Promise<Awaited<ReturnType<typeof readTextWidths>>> {
    const { path, bytes, mtimeMs } = entry;
    const key = `${path} ${bytes} ${mtimeMs}`;
    if (this.#widths.key !== key) this.#widths = { key, widths: await readTextWidths(path) };
    return this.#widths.widths;
  }

  /**
   * A checkpoint as the engine takes it; waits until its hash is known. One whose file was replaced
   * since the folders were looked through is listed and hashed anew first.
   */
  async toFile(entry: CheckpointEntry): Promise<ModelFile> {
    let current = entry;
    if (await hasChanged(entry)) {
      await this.#scan();
      current = this.#checkpoints.entries.find(({ path }) => path === entry.path) ?? entry;
    }
    await this.#hash(current);
    const hash = this.#hashes.get(current)?.slice(0, SHORT_HASH_DIGITS) ?? null;
    return { path: current.path, name: current.baseName, hash };
  }

  /**
   * The VAE that a setting means for a checkpoint.
   *
   * @returns null for the checkpoint's own
   */
  async vaeFile(setting: string, checkpoint: CheckpointEntry): Promise<ModelFile | null> {
    const find = () => resolveVae(this.#vaes, setting, checkpoint.baseName).vae;
    let vae = find();
    if (vae !== null && (await hasChanged(vae))) {
      await this.#scan();
      vae = find();
    }
    if (vae === null) return null;
    const sha256 = await this.#hashes.compute(vae, this.#closed.signal).catch(() => null);
    return {
      path: vae.path,
      name: vae.modelName,
      hash: sha256?.slice(0, SHORT_HASH_DIGITS) ?? null,
    };
  }

  /** Lists the folders after any listing that goes on, so that the newest one counts. */
  #scan(): Promise<void> {
    this.#scanning = this.#scanning.catch(() => {}).then(() => this.#list());
    return this.#scanning;
  }

  async #list(): Promise<void> {
    const { checkpointDirs, vaeDirs, demoDir } = this.#settings;
    let found = await scanCheckpoints(checkpointDirs, this.#hashes);
    this.#usesDemo = found.entries.length === 0;
    if (this.#usesDemo) {
      const demo = await scanCheckpoints([join(demoDir, 'Stable-diffusion')], this.#hashes);
      found = { ...demo, skipped: [...found.skipped, ...demo.skipped] };
      this.#usesDemo = demo.entries.length > 0;
    }
    this.#checkpoints = found;
    this.#vaes = await scanVaes(vaeDirs, checkpointDirs);
  }

  async #hashAll(): Promise<void> {
    for (const entry of [...this.#checkpoints.entries]) {
      if (this.#closed.signal.aborted) return;
      await this.#hash(entry);
    }
  }

  /** Computes one hash, once; then lists again, because titles and ids carry it. */
  #hash(entry: CheckpointEntry): Promise<void> {
    // A file that replaces another while that is hashed has a hash of its own to wait for.
    const key = `${entry.path} ${entry.bytes} ${entry.mtimeMs}`;
    const known = this.#hashing.get(key);
    if (known !== undefined) return known;
    if (this.#hashes.get(entry) !== null) return Promise.resolve();
    const alone = { entries: [entry], ids: new Map(), skipped: [] };
    const work = hashCheckpoints(alone, this.#hashes, undefined, this.#closed.signal)
      .then(() => (this.#hashes.get(entry) === null ? undefined : this.#scan()))
      // Files may go while they are looked at; the list as it was stays good.
      .catch((error: unknown) => this.#log.warn({ error }, 'model folders could not be listed'))
      .finally(() => this.#hashing.delete(key));
    this.#hashing.set(key, work);
    return work;
  }
}

/** Whether another file lies there than was listed; a file that is gone is the engine's to tell. */
async function hasChanged({
  path,
  bytes,
  mtimeMs,
}: Pick<CheckpointEntry, 'path' | 'bytes' | 'mtimeMs'>): Promise<boolean> {
  const now = await stat(path).catch(() => null);
  return now !== null && (now.size !== bytes || now.mtimeMs !== mtimeMs);
}

/** `name [hash]` without its hash. */
function withoutHash(title: string): string {
  return title.replace(/ \[[\da-f]{8,64}\]$/, '');
}
