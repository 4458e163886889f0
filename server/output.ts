/** Saves finished pictures where A1111 saves them, below one folder that no request can change. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Digits of the number in front of a picture's name, and of a grid's. */
const IMAGE_DIGITS = 5;
const GRID_DIGITS = 4;
/** Characters of one part of a path: file systems end at 255 bytes, and UTF-8 takes up to 4. */
const MAX_PART_CHARS = 60;
/** Device names of Windows, which are no file names there. */
const RESERVED = /^(?:con|prn|aux|nul|com\d|lpt\d)$/i;

/** What a pattern may name. Values come from the request: they are cleaned before use. */
export type PatternValues = Readonly<Record<string, string | number>>;

/** Which of A1111's folders a picture goes to. */
export type OutputKind = 'txt2img' | 'img2img';

/** One picture to save. */
export interface SavedPicture {
  bytes: Uint8Array;
  /** File extension without the dot. */
  extension: 'png' | 'jpg' | 'webp';
  isGrid: boolean;
  values: PatternValues;
}

/** Where and under which names; from the options. */
export interface SavePatterns {
  /** Name after the number; empty means `[seed]`. */
  filename: string;
  /** Folder below the kind's; null for none. */
  folder: string | null;
}

export class Output {
  readonly #root: string;
  /** The next number of each folder, so that it is listed once. */
  readonly #next = new Map<string, number>();
  #work: Promise<unknown> = Promise.resolve();

  /** @param root  absolute path; made when the first picture is saved */
  constructor(root: string) {
    this.#root = root;
  }

  /** Folder of pictures or grids of one kind, for `GET /sdapi/v1/options`. */
  folder(kind: OutputKind, isGrid: boolean): string {
    return join(this.#root, `${kind}-${isGrid ? 'grids' : 'images'}`);
  }

  /**
   * Saves a picture as `<kind>-images/<folder>/00000-<name>.<extension>`, or as a grid.
   *
   * @returns the path
   * @throws the system's error; no half file is left
   */
  save(kind: OutputKind, picture: SavedPicture, patterns: SavePatterns): Promise<string> {
    const work = this.#work.then(() => this.#save(kind, picture, patterns));
    this.#work = work.catch(() => {});
    return work;
  }

  async #save(kind: OutputKind, picture: SavedPicture, patterns: SavePatterns): Promise<string> {
    const { bytes, extension, isGrid, values } = picture;
    const parts = patterns.folder === null ? [] : patterns.folder.split('/');
    const folder = join(
      this.folder(kind, isGrid),
      ...parts.map((part) => fillPattern(part, values)).filter((part) => part !== ''),
    );
    await mkdir(folder, { recursive: true });
    const number = this.#next.get(folder) ?? (await findNextNumber(folder));
    const digits = String(number).padStart(isGrid ? GRID_DIGITS : IMAGE_DIGITS, '0');
    const name = isGrid
      ? `grid-${digits}`
      : `${digits}-${fillPattern(patterns.filename || '[seed]', values)}`;
    const path = join(folder, `${name}.${extension}`);
    const part = join(folder, `.${randomUUID()}.part`);
    try {
      await writeFile(part, bytes, { flag: 'wx' });
      await rename(part, path);
    } catch (error) {
      await rm(part, { force: true }).catch(() => {});
      throw error;
    }
    this.#next.set(folder, number + 1);
    return path;
  }
}

/**
 * Fills the tokens of a pattern and makes one safe part of a path of it.
 *
 * Only names of `values` are tokens; anything else in brackets stays as text. Separators, control
 * characters, and what Windows does not allow become `_`; dots and blanks at the ends go.
 *
 * @param pattern  without `/`
 */
export function fillPattern(pattern: string, values: PatternValues): string {
  const filled = pattern.replace(/\[(\w+)\]/g, (whole, token: string) =>
    Object.hasOwn(values, token) ? String(values[token]) : whole,
  );
  const clean = filled
    .normalize('NFC')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}<>:"/\\|?*]/gu, '_')
    .slice(0, MAX_PART_CHARS)
    .replace(/^[\s.]+|[\s.]+$/g, '');
  return RESERVED.test(clean.split('.')[0] ?? '') ? `_${clean}` : clean;
}

/** The number after the highest that the folder's names begin with, `grid-` aside. */
async function findNextNumber(folder: string): Promise<number> {
  const numbers = (await readdir(folder)).map((name) =>
    Number(/^(?:grid-)?(\d{1,9})(?:-|\.)/.exec(name)?.[1] ?? -1),
  );
  return numbers.reduce((highest, number) => Math.max(highest, number), -1) + 1;
}
