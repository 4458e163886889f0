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

/** An open bracket and what came since, cut at its colons and bars. */
interface Frame {
  open: '(' | '[';
  parts: ScheduleNode[][];
  /** The characters between parts. */
  separators: (':' | '|')[];
}

/** A number with nothing but spaces around it: sign, decimals, exponent. */
const WHEN = /^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)$/;
/** Longest number read; the longest float64 in use has 24 characters. */
const MAX_WHEN_LENGTH = 400;

/**
 * Parses prompt editing and alternation; never throws, time linear in the text.
 *
 * A bracket counts when it closes and what it holds fits one of the forms, all the way down. Any
 * other bracket or colon is text, and so are the brackets around it. Next to such stray brackets
 * the web UI's own parser reads a form now as a form, now as text, by the hash seed of its process;
 * here it is always a form. A `|` outside an alternation,
 * or a backslash before a line break or the end, makes the whole prompt plain text: null.
 */
export function parseSchedule(prompt: string): ScheduleNode[] | null {
  const root: ScheduleNode[] = [];
  let frames: Frame[] = [];
  /** Where the next item goes: the last part of the innermost frame, or the root. */
  const target = (): ScheduleNode[] => frames.at(-1)?.parts.at(-1) ?? root;
  /** Turns every open bracket into text; false when that leaves a bar outside an alternation. */
  const flush = (): boolean => {
    for (const frame of frames) {
      root.push(frame.open);
      for (const [i, part] of frame.parts.entries()) {
        if (i > 0) root.push(frame.separators[i - 1]!);
        for (const item of part) root.push(item);
      }
      if (frame.separators.includes('|')) return false;
    }
    frames = [];
    return true;
  };

  let i = 0;
  while (i < prompt.length) {
    const char = prompt[i]!;
    const frame = frames.at(-1);
    if (char === '(' || char === '[') {
      frames.push({ open: char, parts: [[]], separators: [] });
      i++;
    } else if (char === ')' || char === ']') {
      const node = frame === undefined ? null : closeFrame(frame, char);
      if (node !== null) {
        frames.pop();
        target().push(node);
      } else {
        if (!flush()) return null;
        root.push(char);
      }
      i++;
    } else if (char === ':' || char === '|') {
      if (frame !== undefined) {
        frame.separators.push(char);
        frame.parts.push([]);
      } else if (char === '|') {
        return null;
      } else {
        root.push(char);
      }
      i++;
    } else {
      const end = endOfPlain(prompt, i);
      if (end < 0) return null;
      target().push(prompt.slice(i, end));
      i = end;
    }
  }
  return flush() ? root : null;
}

/** Index after the plain text that begins at `start`; -1 for a backslash that escapes nothing. */
function endOfPlain(prompt: string, start: number): number {
  let i = start;
  while (i < prompt.length && !'()[]:|'.includes(prompt[i]!)) {
    if (prompt[i] === '\\') {
      i++;
      if (i >= prompt.length || prompt[i] === '\n') return -1;
    }
    i++;
  }
  return i;
}

/** Returns what a bracket that just closed means; null when it fits no form. */
function closeFrame({ open, parts, separators }: Frame, close: ')' | ']'): ScheduleNode | null {
  const first = parts[0]!;
  if (open === '(') {
    if (close !== ')' || separators.length > 1 || separators[0] === '|') return null;
    const items = separators.length === 1 ? [...first, ':', ...parts[1]!] : first;
    return { kind: 'group', open, items, close };
  }
  if (close !== ']') return null;
  if (separators.length === 0) return { kind: 'group', open, items: first, close };
  if (separators.every((separator) => separator === '|')) return { kind: 'cycle', options: parts };
  if (separators.length > 2 || separators.includes('|')) return null;
  const when = readWhen(parts.at(-1)!);
  if (when === null) return null;
  const from = separators.length === 2 ? first : [];
  return { kind: 'switch', from, to: parts.at(-2)!, when };
}

function readWhen(part: ScheduleNode[]): string | null {
  const [text] = part;
  if (part.length !== 1 || typeof text !== 'string' || text.length > MAX_WHEN_LENGTH) return null;
  const start = skipSpaces(text, 0);
  return (
    WHEN.exec(text.slice(start, Math.max(start, skipSpacesBack(text, text.length))))?.[1] ?? null
  );
}
