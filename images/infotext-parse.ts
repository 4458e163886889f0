import { ImageError } from './errors.ts';

/** Longest infotext that is parsed, in characters. A prompt has up to 20,000, a line of LoRA hashes a few thousand. */
export const MAX_INFOTEXT_CHARS = 256 * 1024;

/** Pairs a last line needs to count as parameters; prompts end in a pair or two now and then. */
const MIN_PAIRS = 3;

const NEGATIVE_PREFIX = 'Negative prompt:';

/** An infotext taken apart. Values stay text. */
export interface ParsedInfotext {
  prompt: string;
  negativePrompt: string;
  /** In order of first appearance; `Size: 512x768` is there as `Size-1` and `Size-2`. */
  parameters: Map<string, string>;
}

/**
 * Takes an infotext apart as the web UI does. The last line holds the parameters if it has at least three
 * pairs; a line that starts with `Negative prompt:` ends the prompt. One pass over the text, so twice the
 * text takes twice the time.
 *
 * @throws ImageError `TEXT_TOO_LARGE` beyond `MAX_INFOTEXT_CHARS`
 */
export function parseInfotext(text: string): ParsedInfotext {
  if (text.length > MAX_INFOTEXT_CHARS) {
    throw new ImageError(
      'TEXT_TOO_LARGE',
      `Expected at most ${MAX_INFOTEXT_CHARS} characters for the infotext but received ${text.length}.`,
    );
  }
  const lines = text.trim().split('\n');
  let pairs = scanPairs(lines.at(-1) ?? '');
  if (pairs.length < MIN_PAIRS) pairs = [];
  else lines.pop();

  const prompt: string[] = [];
  const negativePrompt: string[] = [];
  let current = prompt;
  for (const line of lines) {
    let part = line.trim();
    if (part.startsWith(NEGATIVE_PREFIX)) {
      current = negativePrompt;
      part = part.slice(NEGATIVE_PREFIX.length).trim();
    }
    // Empty lines in front are dropped, those between lines are kept.
    if (part !== '' || current.length > 0) current.push(part);
  }
  return {
    prompt: prompt.join('\n'),
    negativePrompt: negativePrompt.join('\n'),
    parameters: collect(pairs),
  };
}

function collect(pairs: readonly (readonly [string, string])[]): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const [key, raw] of pairs) {
    if (raw === '') continue;
    const value = unquote(raw);
    const sides = /^(\d+)x(\d+)$/.exec(value);
    if (sides?.[1] && sides[2]) {
      parameters.set(`${key}-1`, sides[1]);
      parameters.set(`${key}-2`, sides[2]);
    } else {
      parameters.set(key, value);
    }
  }
  return parameters;
}

/** Undoes the quoting of `buildInfotext`; text that only looks quoted stays as it is. */
export function unquote(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' ? value : text;
  } catch {
    return text;
  }
}

/**
 * Finds the `key: value` pairs of a line. A key is a word character followed by one or more of word
 * characters, blanks, `-` and `/`, right before a colon; a value is a quoted string that a comma or the
 * end follows, or else everything up to the next comma. Values are returned as they stand, quotes included.
 */
export function scanPairs(line: string): [key: string, value: string][] {
  const pairs: [string, string][] = [];
  let keyStart = -1;
  let at = 0;
  while (at < line.length) {
    const char = String.fromCodePoint(line.codePointAt(at) ?? 0);
    if (keyStart < 0 && WORD.test(char)) keyStart = at;
    if (char === ':' && keyStart >= 0 && hasTwoCharacters(line, keyStart, at)) {
      const value = scanValue(line, at + 1);
      pairs.push([line.slice(keyStart, at), value.text]);
      at = value.end;
      keyStart = -1;
      continue;
    }
    if (!KEY.test(char)) keyStart = -1;
    at += char.length;
  }
  return pairs;
}

/** Word characters as Python's `\w` has them: letters and numbers of any script, and the underscore. */
const WORD = /^[\p{L}\p{N}_]$/u;
const KEY = /^[\p{L}\p{N}_ \-/]$/u;

/** Whether a key has a second character: one letter outside the basic plane is two code units. */
function hasTwoCharacters(line: string, start: number, end: number): boolean {
  return end - start > ((line.codePointAt(start) ?? 0) > 0xffff ? 2 : 1);
}

function scanValue(line: string, from: number): { text: string; end: number } {
  let start = from;
  while (start < line.length && /\s/.test(line[start] ?? '')) start++;
  const quoteEnd = line[start] === '"' ? closingQuote(line, start) : -1;
  if (quoteEnd > 0 && (quoteEnd === line.length || line[quoteEnd] === ',')) {
    return { text: line.slice(start, quoteEnd), end: quoteEnd + 1 };
  }
  const comma = line.indexOf(',', start);
  const end = comma < 0 ? line.length : comma;
  return { text: line.slice(start, end), end: end + 1 };
}

/** Offset after the quote that closes the string at `start`; -1 when there is none or it is empty. */
function closingQuote(line: string, start: number): number {
  for (let i = start + 1; i < line.length; i++) {
    if (line[i] === '\\') i++;
    else if (line[i] === '"') return i === start + 1 ? -1 : i + 1;
  }
  return -1;
}
