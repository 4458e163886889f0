/**
 * Readings of loosely typed JSON as pydantic 1.10 does it, which is what A1111's clients rely on:
 * `"20"` and `20.7` are the integer 20, `"yes"` is true, 12 is the text "12". What has no reading
 * is refused with pydantic's `type` and a sentence that names the field, the bounds and the value.
 */
import { z } from 'zod';

/** An issue's data for FastAPI's error list: its `type`, beside zod's path and message. */
export interface IssueParams {
  pydantic: string;
  [key: string]: unknown;
}

const INTEGER_TEXT = /^\s*[+-]?\d{1,20}\s*$/;
const FLOAT_TEXT = /^\s*[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?\s*$/;
const TRUE_TEXT = new Set(['1', 'on', 't', 'true', 'y', 'yes']);
const FALSE_TEXT = new Set(['0', 'off', 'f', 'false', 'n', 'no']);
/** Characters of a refused value that an error repeats. */
const MAX_SHOWN_CHARS = 80;

/**
 * Makes the one sentence for bad values.
 *
 * @returns e.g. `Expected integer 1-150 for steps but received 0 of type number.`
 */
export function describeBadValue(what: string, field: string, value: unknown): string {
  return `Expected ${what} for ${field} but received ${showValue(value)} of type ${typeName(value)}.`;
}

/**
 * An integer: numeric text and booleans are read, fractions are cut off.
 *
 * @param min  smallest value accepted
 * @param max  largest value accepted
 */
export function int(min: number, max: number) {
  return z.preprocess((value, context) => {
    const number = readInteger(value);
    if (number !== undefined && number >= min && number <= max) return number;
    const type =
      number === undefined
        ? 'type_error.integer'
        : number < min
          ? 'value_error.number.not_ge'
          : 'value_error.number.not_le';
    return refuse(context, `integer ${min}-${max}`, value, type);
  }, z.int().min(min).max(max));
}

/** A number: numeric text and booleans are read; infinities are refused. */
export function float(min: number, max: number) {
  return z.preprocess((value, context) => {
    const number = readFloat(value);
    if (number !== undefined && number >= min && number <= max) return number;
    const type =
      number === undefined
        ? 'type_error.float'
        : number < min
          ? 'value_error.number.not_ge'
          : 'value_error.number.not_le';
    return refuse(context, `number ${min}-${max}`, value, type);
  }, z.number().min(min).max(max));
}

/** An integer that may also come as `2.0` or `"2.0"`: `GET /sdapi/v1/options` of A1111 says so. */
export function whole(min: number, max: number) {
  return z.preprocess((value, context) => {
    const number = readFloat(value);
    if (number !== undefined && Number.isInteger(number) && number >= min && number <= max) {
      return number;
    }
    return refuse(context, `integer ${min}-${max}`, value, 'type_error.integer');
  }, z.int().min(min).max(max));
}

/** One of a few words, in any case. */
export function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.preprocess((value, context) => {
    const asked = typeof value === 'string' ? value.toLowerCase() : null;
    const known = words.find((word) => word.toLowerCase() === asked);
    return known ?? refuse(context, `one of ${words.join(', ')}`, value, 'type_error.enum');
  }, z.enum(words));
}

/** A boolean: 0, 1, and the words on, off, yes, no, y, n, t, f, true, false in any case. */
export function bool() {
  return z.preprocess((value, context) => {
    const read = readBoolean(value);
    return read ?? refuse(context, 'boolean', value, 'value_error.boolean');
  }, z.boolean());
}

/** A text: numbers are written out, `true` becomes `True` as Python writes it. */
export function text(maxChars: number) {
  return z.preprocess((value, context) => {
    const read = readText(value);
    if (read === undefined) return refuse(context, 'text', value, 'type_error.str');
    if (read.length <= maxChars) return read;
    return refuse(
      context,
      `text of at most ${maxChars} characters`,
      value,
      'value_error.any_str.max_length',
    );
  }, z.string().max(maxChars));
}

/** A list of up to `max` items. */
export function list<T extends z.ZodType>(item: T, max: number) {
  return z.preprocess((value, context) => {
    if (!Array.isArray(value)) return refuse(context, 'list', value, 'type_error.list');
    if (value.length <= max) return value;
    return refuse(context, `list of at most ${max} items`, value, 'value_error.list.max_items');
  }, z.array(item).max(max));
}

/** An object with any keys; `__proto__` is dropped. */
export function dict() {
  return z.preprocess(
    (value, context) =>
      isDict(value) ? value : refuse(context, 'object', value, 'type_error.dict'),
    z.record(z.string(), z.unknown()),
  );
}

/** Whether a JSON value is an object, not a list and not null. */
export function isDict(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads an integer as pydantic 1 does; undefined when there is no reading. */
export function readInteger(value: unknown): number | undefined {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'number') return Number.isFinite(value) ? Math.trunc(value) : undefined;
  if (typeof value === 'string' && INTEGER_TEXT.test(value)) return Number(value);
  return undefined;
}

/** Reads a finite number as pydantic 1 does; undefined when there is no reading. */
export function readFloat(value: unknown): number | undefined {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string' || !FLOAT_TEXT.test(value)) return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

/** Reads a boolean as pydantic 1 does; undefined when there is no reading. */
export function readBoolean(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (value === 1) return true;
  if (value === 0) return false;
  if (typeof value !== 'string') return undefined;
  const word = value.toLowerCase();
  if (TRUE_TEXT.has(word)) return true;
  return FALSE_TEXT.has(word) ? false : undefined;
}

/** Reads a text as pydantic 1 does; undefined when there is no reading. */
export function readText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return undefined;
}

function refuse(
  context: z.RefinementCtx,
  what: string,
  value: unknown,
  pydantic: string,
): typeof z.NEVER {
  // pydantic has its own words for null where null is not allowed, and for a missing field.
  const params: IssueParams = { pydantic, what, received: value };
  if (value === null) params.pydantic = 'type_error.none.not_allowed';
  if (value === undefined) params.pydantic = 'value_error.missing';
  context.addIssue({ code: 'custom', message: what, params });
  return z.NEVER;
}

function showValue(value: unknown): string {
  const shown = typeof value === 'string' ? JSON.stringify(value) : describe(value);
  return shown.length <= MAX_SHOWN_CHARS ? shown : `${shown.slice(0, MAX_SHOWN_CHARS)}…`;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isDict(value)) return `an object with ${Object.keys(value).length} keys`;
  return String(value);
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
