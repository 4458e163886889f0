import type { CheckpointError, CheckpointErrorCode } from './errors.ts';

/** Deepest nesting of a value that is skipped; serde_json, which the reference crate uses, has 128. */
export const MAX_DEPTH = 128;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NUMBER = /(-?)(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;
/** V8 copies slices up to this length and refers to the whole for longer ones. */
const MAX_COPIED_SLICE = 12;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Makes the error for a fault at the scanner's position; the caller adds file and tensor. */
export type Fail = (code: CheckpointErrorCode, detail: string) => CheckpointError;

/** The codes that a wrong integer gets: `SHAPE_NEGATIVE`, `OFFSETS_RANGE` and so on. */
export type IntegerField = 'SHAPE' | 'OFFSETS';

/**
 * Reads a safetensors header as JSON, one token at a time.
 *
 * `JSON.parse` is not used on the whole: it keeps the last of two equal keys, cannot tell `1` from
 * `1.0`, and builds everything (365 MB for a 40 MB header) before a limit can be applied.
 */
export class HeaderScanner {
  readonly #text: string;
  readonly #fail: Fail;
  #at = 0;

  constructor(text: string, fail: Fail) {
    this.#text = text;
    this.#fail = fail;
  }

  /** Position in UTF-16 units from the start of the header. */
  get position(): number {
    return this.#at;
  }

  /** Next character after white space, or '' at the end. */
  peek(): string {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) break;
      this.#at++;
    }
    return this.#text.charAt(this.#at);
  }

  /** Takes the character if it is next. */
  tryTake(char: string): boolean {
    if (this.peek() !== char) return false;
    this.#at++;
    return true;
  }

  /** Takes the character or fails. */
  take(char: string): void {
    if (!this.tryTake(char)) throw this.unexpected(`"${char}"`);
  }

  /** The error for what is next when something else had to be. */
  unexpected(expected: string): CheckpointError {
    const found = this.peek();
    if (found === '') {
      return this.#fail('HEADER_TRUNCATED', `The header ends where ${expected} had to follow.`);
    }
    if (found < ' ') {
      return this.#fail(
        'HEADER_CONTROL_CHARACTER',
        `Control character ${found.charCodeAt(0)} at character ${this.#at} of the header.`,
      );
    }
    return this.#fail(
      'HEADER_JSON',
      `Expected ${expected} at character ${this.#at} of the header but found ${JSON.stringify(found)}.`,
    );
  }

  /**
   * Reads a string.
   *
   * @param maxLength  longest allowed, in UTF-16 units as written in the header
   * @param tooLong    code of the error for a longer one
   */
  readString(maxLength: number, tooLong: CheckpointErrorCode): string {
    if (this.peek() !== '"') throw this.unexpected('a string');
    const start = this.#at;
    const end = this.#findQuote(start + 1);
    this.#at = end + 1;
    if (end - start - 1 > maxLength) {
      throw this.#fail(tooLong, `A string of ${end - start - 1} characters; at most ${maxLength}.`);
    }
    const written = this.#text.slice(start + 1, end);
    // Short slices are copies already; a long one would keep the whole header in memory.
    const hasEscapes = written.includes('\\');
    if (written.length <= MAX_COPIED_SLICE && !hasEscapes) return written;
    const value = this.#decode(`"${written}"`);
    // Raw text is well-formed (it was UTF-8); only escapes can make half a pair.
    if (hasEscapes && LONE_SURROGATE.test(value)) {
      throw this.#fail('LONE_SURROGATE', 'A string has half of a surrogate pair.');
    }
    return value;
  }

  /** Reads an integer of 0 to 2^53 - 1 that is written with digits only. */
  readInteger(field: IntegerField): number {
    const next = this.peek();
    if (next === '' || next < ' ') throw this.unexpected('a number');
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) {
      throw this.#fail(`${field}_TYPE`, `Expected an integer but found ${JSON.stringify(next)}.`);
    }
    this.#at = NUMBER.lastIndex;
    const written = match[0].length > 40 ? `${match[0].slice(0, 40)}…` : match[0];
    if (match[1] === '-') {
      throw this.#fail(`${field}_NEGATIVE`, `Expected an integer from 0 but received ${written}.`);
    }
    if (match[2] !== undefined || match[3] !== undefined) {
      throw this.#fail(`${field}_NOT_INTEGER`, `Expected an integer but received ${written}.`);
    }
    const value = Number(match[0]);
    if (!Number.isSafeInteger(value)) {
      throw this.#fail(`${field}_RANGE`, `Expected an integer to 2^53 but received ${written}.`);
    }
    return value;
  }

  /** Passes over any value, checking its syntax. */
  skipValue(depth = 1): void {
    if (depth > MAX_DEPTH) {
      throw this.#fail('HEADER_TOO_DEEP', `Values are nested deeper than ${MAX_DEPTH}.`);
    }
    switch (this.peek()) {
      case '"':
        this.readString(Number.POSITIVE_INFINITY, 'HEADER_JSON');
        return;
      case '[':
        this.#skipItems(']', () => this.skipValue(depth + 1));
        return;
      case '{':
        this.#skipItems('}', () => {
          this.readString(Number.POSITIVE_INFINITY, 'HEADER_JSON');
          this.take(':');
          this.skipValue(depth + 1);
        });
        return;
      default:
        if (!this.#takePattern(NUMBER) && !this.#takePattern(LITERAL)) {
          throw this.unexpected('a value');
        }
    }
  }

  /** Checks that only white space is left. */
  finish(): void {
    const next = this.peek();
    if (next !== '') {
      throw this.#fail(
        'HEADER_TRAILING',
        `${JSON.stringify(next)} follows the JSON at character ${this.#at} of the header.`,
      );
    }
  }

  #skipItems(close: string, item: () => void): void {
    this.#at++;
    if (this.tryTake(close)) return;
    do item();
    while (this.tryTake(','));
    this.take(close);
  }

  #takePattern(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }

  #findQuote(from: number): number {
    for (let at = from; at < this.#text.length; at++) {
      const code = this.#text.charCodeAt(at);
      if (code === QUOTE) return at;
      if (code === BACKSLASH) at++;
      else if (code < 0x20) {
        throw this.#fail('HEADER_CONTROL_CHARACTER', `Control character ${code} in a string.`);
      }
    }
    throw this.#fail('HEADER_TRUNCATED', 'The header ends in the middle of a string.');
  }

  /** What the string means, as a copy. */
  #decode(quoted: string): string {
    try {
      return String(JSON.parse(quoted));
    } catch {
      throw this.#fail('HEADER_JSON', 'A string has an escape that JSON does not know.');
    }
  }
}
