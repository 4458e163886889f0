import { findWord, isDigit, skipSpacesBack } from './characters.ts';
import { finiteWeight } from './weights.ts';

/** One of the prompts that AND joins. */
export interface SubPrompt {
  /** Without trailing spaces and without the weight; leading spaces stay. */
  text: string;
  /** Its share in the guidance; 1 when the prompt names none. */
  weight: number;
}

/**
 * Splits a positive prompt at the word AND; each part may end with `:weight`.
 *
 * Composable diffusion, Liu et al. 2022. A lone prompt is one part, and its trailing number counts
 * too: `a:0.5` weighs 0.5.
 *
 * @returns at least one part, in order
 */
export function splitAnd(prompt: string): SubPrompt[] {
  const parts: SubPrompt[] = [];
  let start = 0;
  for (const at of findWord(prompt, 'AND')) {
    parts.push(readPart(prompt.slice(start, at)));
    start = at + 'AND'.length;
  }
  parts.push(readPart(prompt.slice(start)));
  return parts;
}

function readPart(part: string): SubPrompt {
  const end = skipSpacesBack(part, part.length);
  const start = startOfNumber(part, end);
  if (start !== null) {
    const colon = skipSpacesBack(part, start) - 1;
    if (part[colon] === ':') {
      const text = part.slice(0, skipSpacesBack(part, colon));
      return { text, weight: finiteWeight(Number(part.slice(start, end))) };
    }
  }
  return { text: part.slice(0, end), weight: 1 };
}

/** Where the signed decimal that ends at `end` begins; null when none ends there. */
function startOfNumber(text: string, end: number): number | null {
  let digits = 0;
  let dots = 0;
  let i = end;
  for (; i > 0; i--) {
    if (isDigit(text.charCodeAt(i - 1))) digits++;
    else if (text[i - 1] === '.') dots++;
    else break;
  }
  if (digits === 0 || dots > 1) return null;
  const hasSign = text[i - 1] === '+' || text[i - 1] === '-';
  return hasSign ? i - 1 : i;
}
