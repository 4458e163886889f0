/**
 * Character classes of the prompt grammar. They are those of the web UI's language, which differ
 * from JavaScript's: U+001C-001F and U+0085 are spaces, U+FEFF is not, and letters and digits of
 * every script are word characters.
 */

const WORD_CHARACTER = /[\p{L}\p{N}_]/u;
const HIGH_SPACES = new Set([0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]);

/** Returns whether a UTF-16 unit is white space. */
export function isSpace(unit: number): boolean {
  if (unit <= 0x20) return (unit >= 0x09 && unit <= 0x0d) || unit >= 0x1c;
  return HIGH_SPACES.has(unit) || (unit >= 0x2000 && unit <= 0x200a);
}

/** Returns whether a UTF-16 unit is an ASCII digit. */
export function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}

/** Returns the first index at or after `start` (below `end`) that holds no space, else `end`. */
export function skipSpaces(text: string, start: number, end = text.length): number {
  let i = start;
  while (i < end && isSpace(text.charCodeAt(i))) i++;
  return i;
}

/** Returns the index after the last non-space before `end`, not below `start`. */
export function skipSpacesBack(text: string, end: number, start = 0): number {
  let i = end;
  while (i > start && isSpace(text.charCodeAt(i - 1))) i--;
  return i;
}

/**
 * Returns where a word stands alone in a text: no letter, digit or underscore on either side.
 *
 * @param word  ASCII letters, matched with their case
 * @returns indices of the word's first letter, ascending
 */
export function findWord(text: string, word: string): number[] {
  const found: number[] = [];
  let at = text.indexOf(word);
  while (at >= 0) {
    const end = at + word.length;
    if (!endsInWord(text, at) && !isWordAt(text, end)) found.push(at);
    at = text.indexOf(word, end);
  }
  return found;
}

function isWordAt(text: string, index: number): boolean {
  const code = text.codePointAt(index);
  return code !== undefined && WORD_CHARACTER.test(String.fromCodePoint(code));
}

/** Whether the character that ends before `index` is a word character. */
function endsInWord(text: string, index: number): boolean {
  if (index === 0) return false;
  const unit = text.charCodeAt(index - 1);
  const isLowSurrogate = unit >= 0xdc00 && unit <= 0xdfff;
  return isWordAt(text, isLowSurrogate && index > 1 ? index - 2 : index - 1);
}
