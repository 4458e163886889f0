/** The value lists of X/Y/Z plot: comma separated, with ranges for numbers. */
import { badArgument } from './script.ts';

/** Values of one axis. */
export const MAX_AXIS_VALUES = 200;

const NUMBER = String.raw`([+-]?\s*\d+(?:\.\d*)?)`;
/** `1-5`, `1-5 (+2)`, `5-1 (-1)`. */
const STEP_RANGE = new RegExp(
  String.raw`^\s*${NUMBER}\s*-\s*${NUMBER}(?:\s*\(\s*([+-]\s*\d+(?:\.\d*)?)\s*\))?\s*$`,
);
/** `1-10 [5]`. */
const COUNT_RANGE = new RegExp(String.raw`^\s*${NUMBER}\s*-\s*${NUMBER}\s*\[\s*(\d{1,4})\s*\]\s*$`);
/** Share of a step by which a sum of steps may miss the end of its range. */
const ROUNDING = 1e-6;

/**
 * Splits comma separated values; double quotes keep commas, and two of them are one quote.
 *
 * @returns the values without blanks around them; none for an empty text
 */
export function splitValues(text: string): string[] {
  if (text.trim() === '') return [];
  const cells = text.match(/\s*"(?:[^"]|"")*"[^,\n]*|[^,\n]+|(?<=^|,)(?=,|$)/g) ?? [];
  return cells.map((cell) => {
    const value = cell.trim();
    const quoted = /^"((?:[^"]|"")*)"(.*)$/s.exec(value);
    return quoted === null ? value : (quoted[1] as string).replaceAll('""', '"') + quoted[2];
  });
}

/**
 * Reads numbers and ranges: `1-5` counts by 1, `1-5 (+2)` by 2, `1-10 [5]` is five values evenly
 * spread with both ends.
 *
 * @param isInteger  cut fractions off, as the web UI does
 * @throws HttpError SCRIPT_ARGUMENT
 */
export function readNumbers(texts: readonly string[], label: string, isInteger: boolean): number[] {
  const numbers = texts.flatMap((text) => expand(text, label, isInteger));
  return isInteger ? numbers.map(Math.trunc) : numbers;
}

function expand(text: string, label: string, isInteger: boolean): number[] {
  const stepped = STEP_RANGE.exec(text);
  if (stepped !== null) {
    const [from, to] = [toNumber(stepped[1]), toNumber(stepped[2])];
    const step = stepped[3] === undefined ? Math.sign(to - from) || 1 : toNumber(stepped[3]);
    if (step === 0 || Math.sign(to - from) * step < 0) return from === to ? [from] : [];
    const count = Math.floor((to - from) / step + ROUNDING) + 1;
    checkCount(count, label);
    // Decimal steps add up to values such as 0.30000000000000004.
    return Array.from({ length: count }, (_, i) => Number((from + i * step).toFixed(8)));
  }
  const counted = COUNT_RANGE.exec(text);
  if (counted !== null) {
    const [from, to, count] = [toNumber(counted[1]), toNumber(counted[2]), Number(counted[3])];
    checkCount(count, label);
    return Array.from({ length: count }, (_, i) =>
      Number((count === 1 ? from : from + ((to - from) * i) / (count - 1)).toFixed(8)),
    );
  }
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || (isInteger && !Number.isInteger(value))) {
    const what = isInteger ? 'integer' : 'number';
    throw badArgument(`Expected ${what} or range for the axis ${label} but received "${text}".`);
  }
  return [value];
}

function checkCount(count: number, label: string): void {
  if (count <= MAX_AXIS_VALUES) return;
  throw badArgument(
    `Expected at most ${MAX_AXIS_VALUES} values for the axis ${label} but received ${count}.`,
  );
}

function toNumber(text: string | undefined): number {
  return Number((text ?? '').replace(/\s+/g, ''));
}

/** All orders of a few values, in the order of Python's `itertools.permutations`. */
export function permutations<T>(values: readonly T[]): T[][] {
  if (values.length === 0) return [[]];
  return values.flatMap((value, i) =>
    permutations([...values.slice(0, i), ...values.slice(i + 1)]).map((rest) => [value, ...rest]),
  );
}
