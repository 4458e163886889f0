import { skipSpaces, skipSpacesBack } from './characters.ts';

/** Part of a prompt whose text may depend on the step. */
export type ScheduleNode = string | Group | Switch | Cycle;

/** Brackets that mean nothing here: they stay in the text around what they hold. */
export interface Group {
  kind: 'group';
  open: '(' | '[';
  items: ScheduleNode[];
  close: ')' | ']';
}

/** `[from:to:when]`, `[to:when]`, `[from::when]`. */
export interface Switch {
  kind: 'switch';
  from: ScheduleNode[];
  to: ScheduleNode[];
  /** The number as written: whether it has a dot decides what it means. */
  when: string;
}

/** `[a|b|…]`: one option a step, in turn. */
export interface Cycle {
  kind: 'cycle';
  options: ScheduleNode[][];
}

/** A character that may turn out to be part of a form, or plain text. */
const MARKS = '([:|';
const OPEN_ROUND = 0;
const OPEN_SQUARE = 1;
const BAR = 3;
/** Parsed so far: nodes, and indices into MARKS of what is not decided yet. */
type Item = ScheduleNode | number;

const SPECIAL = /[\\()[\]:|]/g;
/** Sign, decimals, exponent. */
const WHEN = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
/** Longest number read; the longest float64 in use has 24 characters. */
const MAX_WHEN_LENGTH = 400;

/**
 * Parses prompt editing and alternation; never throws, time linear in the text.
 *
 * A bracket counts when it closes and what it holds fits one of the forms, all the way down. Any
 * other bracket or colon is text, and so are the brackets around it. A `|` outside an alternation,
 * or a backslash before a line break or the end, makes the whole prompt plain text: null.
 *
 * Next to stray brackets the web UI's own parser reads a form now as a form, now as text, by the
 * hash seed of its process; here it is always a form.
 */
export function parseSchedule(prompt: string): ScheduleNode[] | null {
  const items: Item[] = [];
  /** Indices in `items` of the brackets that may still close. */
  const open: number[] = [];
  let i = 0;
  while (i < prompt.length) {
    const char = prompt[i]!;
    const mark = MARKS.indexOf(char);
    if (mark >= 0) {
      if (mark === OPEN_ROUND || mark === OPEN_SQUARE) open.push(items.length);
      items.push(mark);
      i++;
    } else if (char === ')' || char === ']') {
      const start = open.pop();
      const node = start === undefined ? null : closeForm(items, start, char);
      if (start === undefined || node === null) {
        // A bracket around a stray one is stray itself: none of the open ones can close any more.
        open.length = 0;
        push(items, char);
      } else {
        items.length = start;
        push(items, node);
      }
      i++;
    } else {
      const end = endOfPlain(prompt, i);
      if (end < 0) return null;
      push(items, prompt.slice(i, end));
      i = end;
    }
  }
  return items.includes(BAR) ? null : items.map(toNode);
}

/** Adds a node; text joins the text before it. */
function push(items: Item[], node: ScheduleNode): void {
  const last = items.length - 1;
  const before = items[last];
  if (typeof node === 'string' && typeof before === 'string') items[last] = before + node;
  else items.push(node);
}

function toNode(item: Item): ScheduleNode {
  return typeof item === 'number' ? MARKS[item]! : item;
}

/** Index after the plain text that begins at `start`; -1 for a backslash that escapes nothing. */
function endOfPlain(prompt: string, start: number): number {
  let end = start;
  for (;;) {
    SPECIAL.lastIndex = end;
    const at = SPECIAL.exec(prompt)?.index ?? prompt.length;
    if (prompt[at] !== '\\') return at;
    if (at + 1 >= prompt.length || prompt[at + 1] === '\n') return -1;
    end = at + 2;
  }
}

/** Returns what a bracket at `start` means that just closed; null when it fits no form. */
function closeForm(items: readonly Item[], start: number, close: ')' | ']'): ScheduleNode | null {
  const open = items[start] === OPEN_ROUND ? '(' : '[';
  if ((open === '(') !== (close === ')')) return null;
  const only = items[start + 1] ?? '';
  // Text has been joined, so brackets around nothing but text hold one item or none.
  if (items.length <= start + 2 && typeof only === 'string') return open + only + close;

  const { parts, bars } = cutAtMarks(items, start + 1);
  const marks = parts.length - 1;
  if (marks === 0) return { kind: 'group', open, items: parts[0]!, close };
  if (open === '(') {
    if (marks > 1 || bars > 0) return null;
    return { kind: 'group', open, items: [...parts[0]!, ':', ...parts[1]!], close };
  }
  if (bars === marks) return { kind: 'cycle', options: parts };
  if (bars > 0 || marks > 2) return null;
  const when = readWhen(parts[marks]!);
  if (when === null) return null;
  return { kind: 'switch', from: marks === 2 ? parts[0]! : [], to: parts[marks - 1]!, when };
}

/** The nodes between colons and bars from `start` on, and how many of the cuts were bars. */
function cutAtMarks(items: readonly Item[], start: number) {
  let part: ScheduleNode[] = [];
  const parts = [part];
  let bars = 0;
  for (let i = start; i < items.length; i++) {
    const item = items[i]!;
    if (typeof item === 'number') {
      if (item === BAR) bars++;
      part = [];
      parts.push(part);
    } else {
      part.push(item);
    }
  }
  return { parts, bars };
}

function readWhen(part: readonly ScheduleNode[]): string | null {
  const [text] = part;
  if (part.length !== 1 || typeof text !== 'string' || text.length > MAX_WHEN_LENGTH) return null;
  const start = skipSpaces(text, 0);
  const number = text.slice(start, Math.max(start, skipSpacesBack(text, text.length)));
  return WHEN.test(number) ? number : null;
}
