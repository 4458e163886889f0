import { findWord, isDigit, skipSpaces, skipSpacesBack } from './characters.ts';
import { finiteWeight } from './weights.ts';

/** Part of a prompt that is tokenised on its own. */
export interface WeightedText {
  text: string;
  /** Factor on the encoded vectors of these tokens; 1 = none. Always finite. */
  weight: number;
}

/** What `(x)` multiplies by; `[x]` divides by it. */
const BRACKET_FACTOR = 1.1;
/**
 * Open brackets that weigh; deeper ones are matched and weigh nothing. 1.1^200 is 10^8: far beyond
 * any use, and the bound keeps a prompt made of brackets linear.
 */
const MAX_NESTING = 200;
const BREAK = 'BREAK';
const BREAK_WEIGHT = -1;
const ESCAPABLE = '()[]\\';
const SPECIAL = /[\\()[\]:]/g;

/** Returns whether a segment is the `BREAK` that ends a chunk, not a text that reads so. */
export function isBreak(segment: WeightedText): boolean {
  return segment.text === BREAK && segment.weight === BREAK_WEIGHT;
}

/**
 * Parses the attention brackets of a prompt; never throws, time linear in the text.
 *
 * `(x)` weighs 1.1, `[x]` 1/1.1, `(x:1.3)` 1.3, nested brackets multiply, brackets left open reach
 * to the end, `\(` `\)` `\[` `\]` `\\` are the characters themselves and any other backslash
 * vanishes. The word BREAK takes the spaces around it and becomes a segment of weight -1, so that
 * within brackets it is multiplied and becomes plain text, as in the web UI. A number that is none,
 * such as `(x:1.2.3)`, stays text (the web UI fails there).
 *
 * @returns segments in order, neighbours of equal weight joined; at least one
 */
export function parseAttention(text: string): WeightedText[] {
  const segments = new Segments();
  let i = 0;
  while (i < text.length) {
    const char = text[i]!;
    if (char === '\\') {
      const isEscape = i + 1 < text.length && ESCAPABLE.includes(text[i + 1]!);
      segments.append(isEscape ? text[i + 1]! : '');
      i += isEscape ? 2 : 1;
    } else if (char === '(' || char === '[') {
      segments.open(char);
      i++;
    } else if (char === ')' || char === ']') {
      const factor = char === ')' ? BRACKET_FACTOR : 1 / BRACKET_FACTOR;
      if (!segments.close(char === ')' ? '(' : '[', factor)) segments.append(char);
      i++;
    } else if (char === ':') {
      const weight = readWeight(text, i);
      if (weight === null || !segments.close('(', weight.value)) {
        segments.append(char);
        i++;
      } else {
        i = weight.end;
      }
    } else {
      const end = endOfRun(text, i);
      appendRun(segments, text.slice(i, end));
      i = end;
    }
  }
  return segments.finish();
}

/** Index of the next character that means something, after `start`. */
function endOfRun(text: string, start: number): number {
  SPECIAL.lastIndex = start;
  return SPECIAL.exec(text)?.index ?? text.length;
}

/** Appends text without brackets, cut at each BREAK. */
function appendRun(segments: Segments, run: string): void {
  let start = 0;
  for (const at of findWord(run, BREAK)) {
    segments.append(run.slice(start, Math.max(start, skipSpacesBack(run, at, start))));
    segments.appendBreak();
    start = skipSpaces(run, at + BREAK.length);
  }
  segments.append(run.slice(start));
}

/** Reads `: number )` at a colon; null when something else stands there. */
function readWeight(text: string, colon: number): { value: number; end: number } | null {
  const start = skipSpaces(text, colon + 1);
  let i = start;
  if (text[i] === '+' || text[i] === '-') i++;
  let digits = 0;
  let dots = 0;
  for (; i < text.length; i++) {
    if (isDigit(text.charCodeAt(i))) digits++;
    else if (text[i] === '.') dots++;
    else break;
  }
  const end = skipSpaces(text, i);
  if (digits === 0 || dots > 1 || text[end] !== ')') return null;
  return { value: Number(text.slice(start, i)), end: end + 1 };
}

/** The segments found so far and the brackets open around the next one. */
class Segments {
  readonly #texts: string[] = [];
  readonly #weights: number[] = [];
  /** First segment inside each open bracket; -1 for one too deep to weigh. */
  readonly #open = { '(': [] as number[], '[': [] as number[] };
  /** Whether the next text joins the last segment: no bracket or BREAK came between. */
  #joins = false;

  append(text: string): void {
    const last = this.#texts.length - 1;
    if (this.#joins && last >= 0) {
      this.#texts[last] += text;
      return;
    }
    this.#push(text, 1);
    this.#joins = true;
  }

  appendBreak(): void {
    this.#push(BREAK, BREAK_WEIGHT);
    this.#joins = false;
  }

  open(kind: '(' | '['): void {
    const depth = this.#open['('].length + this.#open['['].length;
    this.#open[kind].push(depth < MAX_NESTING ? this.#texts.length : -1);
    this.#joins = false;
  }

  /** Weighs what the innermost open bracket of a kind holds; false when none is open. */
  close(kind: '(' | '[', factor: number): boolean {
    const start = this.#open[kind].pop();
    if (start === undefined) return false;
    this.#multiplyFrom(start, factor);
    this.#joins = false;
    return true;
  }

  /** Closes what is open, round brackets first, and joins neighbours of equal weight. */
  finish(): WeightedText[] {
    for (const start of this.#open['(']) this.#multiplyFrom(start, BRACKET_FACTOR);
    for (const start of this.#open['[']) this.#multiplyFrom(start, 1 / BRACKET_FACTOR);
    const joined: WeightedText[] = [];
    for (const [i, text] of this.#texts.entries()) {
      const weight = finiteWeight(this.#weights[i]!);
      const last = joined.at(-1);
      if (last !== undefined && last.weight === weight) last.text += text;
      else joined.push({ text, weight });
    }
    return joined.length > 0 ? joined : [{ text: '', weight: 1 }];
  }

  #push(text: string, weight: number): void {
    this.#texts.push(text);
    this.#weights.push(weight);
  }

  #multiplyFrom(start: number, factor: number): void {
    if (start < 0) return;
    for (let i = start; i < this.#weights.length; i++) this.#weights[i]! *= factor;
  }
}
