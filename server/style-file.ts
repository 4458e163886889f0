/** styles.csv as it is on disk, read again when it changed. */
import { readFile, stat } from 'node:fs/promises';
import { type PromptStyle, parseStyles } from './styles.ts';

/** Largest file that is read: ten thousand styles. */
const MAX_STYLES_BYTES = 16 * 1024 * 1024;

export class StyleFile {
  readonly #path: string;
  #seen = '';
  #styles: ReadonlyMap<string, PromptStyle> = new Map();

  constructor(path: string) {
    this.#path = path;
  }

  /** All styles by name, in the file's order; none when the file is missing or unreadable. */
  async all(): Promise<ReadonlyMap<string, PromptStyle>> {
    try {
      const { size, mtimeMs, ino } = await stat(this.#path);
      const seen = `${size} ${mtimeMs} ${ino}`;
      if (seen !== this.#seen && size <= MAX_STYLES_BYTES) {
        this.#styles = parseStyles(await readFile(this.#path, 'utf8'));
        this.#seen = seen;
      }
    } catch {
      this.#styles = new Map();
      this.#seen = '';
    }
    return this.#styles;
  }
}
