/** The options of the web UI: read, changed, overridden for one job, and kept in config.json. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { type Fault, InvalidRequest, toFault } from '../openapi/parse.ts';
import { isDict } from '../openapi/schemas/coercion.ts';
import { FIXED_OPTIONS, type OptionKey, Options } from '../openapi/schemas/options.ts';
import { HttpError } from './errors.ts';

/** Largest config.json that is read: A1111's has 20 kB. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

/** Options that were asked for and cannot be had. */
export interface RejectedOption {
  key: string;
  fault: Fault;
}

export class OptionsStore {
  readonly #path: string | null;
  readonly #fixed: Partial<Options>;
  #values: Options;
  /** What else is in the file: keys of A1111 that are not ours stay as they are. */
  readonly #foreign: Map<string, unknown>;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    path: string | null,
    fixed: Partial<Options>,
    values: Options,
    foreign: Map<string, unknown>,
  ) {
    this.#path = path;
    this.#fixed = fixed;
    this.#values = values;
    this.#foreign = foreign;
  }

  /**
   * Reads config.json; a missing file means defaults, and so does each value that has no reading.
   *
   * @param path   null keeps the options in memory
   * @param fixed  options that the command line decides
   * @throws Error with one line that names the file, when it is not a JSON object
   */
  static open(path: string | null, fixed: Partial<Options> = {}): OptionsStore {
    const stored = path === null ? {} : readConfig(path);
    const { changes } = readOptions(stored);
    const foreign = new Map(Object.entries(stored).filter(([key]) => !isOption(key)));
    return new OptionsStore(path, fixed, { ...Options.parse({}), ...changes }, foreign);
  }

  /** All options as they are now. */
  all(): Options {
    return { ...this.#values, ...this.#fixed };
  }

  /**
   * Reads a `POST /sdapi/v1/options` body without changing anything. Unknown keys and those that
   * only the command line decides are left out, and so is null where an option cannot be null.
   *
   * @throws InvalidRequest that names every option whose value has no reading
   */
  parse(body: Readonly<Record<string, unknown>>): Partial<Options> {
    const { changes, rejected } = readOptions(body);
    if (rejected.length > 0) throw new InvalidRequest(rejected.map(({ fault }) => fault));
    return changes;
  }

  /**
   * Options with the overrides of one job; what has no reading is left out, never refused.
   *
   * @returns the options, and what was left out
   */
  override(overrides: Readonly<Record<string, unknown>>): {
    options: Options;
    changes: Partial<Options>;
    rejected: RejectedOption[];
  } {
    const { changes, rejected } = readOptions(overrides);
    return { options: { ...this.all(), ...changes }, changes, rejected };
  }

  /** Changes options for this run without writing them: what the command line asks for. */
  assume(changes: Partial<Options>): void {
    this.#values = { ...this.#values, ...changes };
  }

  /**
   * Changes options and writes them to disk; the change holds even when the disk is full.
   *
   * @throws HttpError OPTIONS_NOT_SAVED
   */
  async set(changes: Partial<Options>): Promise<void> {
    this.#values = { ...this.#values, ...changes };
    this.#saving = this.#saving.catch(() => {}).then(() => this.#save());
    await this.#saving;
  }

  /** Writes a file beside config.json and renames it: never half a configuration. */
  async #save(): Promise<void> {
    const path = this.#path;
    if (path === null) return;
    const part = `${path}.${randomUUID()}.part`;
    const content = { ...Object.fromEntries(this.#foreign), ...this.#values };
    try {
      await writeFile(part, `${JSON.stringify(content, null, 4)}\n`, { mode: 0o600 });
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true }).catch(() => {});
      const reason = error instanceof Error ? error.message : String(error);
      throw new HttpError('OPTIONS_NOT_SAVED', `The options hold but were not saved: ${reason}`);
    }
  }
}

function isOption(key: string): key is OptionKey {
  return Object.hasOwn(Options.shape, key);
}

function readOptions(values: Readonly<Record<string, unknown>>): {
  changes: Partial<Options>;
  rejected: RejectedOption[];
} {
  const entries: [string, unknown][] = [];
  const rejected: RejectedOption[] = [];
  for (const [key, value] of Object.entries(values)) {
    if (!isOption(key) || FIXED_OPTIONS.has(key)) continue;
    const schema = Options.shape[key];
    const result = schema.safeParse(value);
    if (result.success) {
      entries.push([key, result.data]);
    } else if (value !== null) {
      const issue = result.error.issues[0];
      if (issue !== undefined) rejected.push({ key, fault: toFault(issue, 'body', key) });
    }
  }
  // Not `Options.partial()`: it would put the default of every option that is absent.
  return { changes: Object.fromEntries(entries) as Partial<Options>, rejected };
}

function readConfig(path: string): Record<string, unknown> {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw error;
  }
  if (content.length > MAX_CONFIG_BYTES) throw new Error(`${path} is too large to be a config.`);
  try {
    const value: unknown = JSON.parse(content);
    if (isDict(value)) return value;
  } catch {
    // Falls through to the one sentence for both.
  }
  throw new Error(`${path} is not a JSON object: repair it or move it away`);
}
