/** Reads a request with its schema; what cannot be read becomes FastAPI's list of faults. */
import type { z } from 'zod';
import { describeBadValue } from './schemas/coercion.ts';

/** One item of FastAPI's `detail` list. */
export interface Fault {
  loc: (string | number)[];
  msg: string;
  type: string;
}

/** pydantic's own sentences, which clients know. */
const KNOWN_SENTENCES: Readonly<Record<string, string>> = {
  'value_error.missing': 'field required',
  'type_error.none.not_allowed': 'none is not an allowed value',
};

/** A request that cannot be read. `code` is what `server/errors.ts` turns into 422. */
export class InvalidRequest extends Error {
  readonly code = 'INVALID_REQUEST';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    super(faults[0]?.msg ?? 'The request cannot be read.');
    this.name = 'InvalidRequest';
    this.faults = faults;
  }
}

/**
 * Reads a JSON body or a query with a schema, as pydantic 1.10 would.
 *
 * @param schema    of the whole body or query
 * @param value     the parsed JSON; undefined when there is no body
 * @param location  first item of every fault's `loc`
 * @throws InvalidRequest with one fault per field
 */
export function parseRequest<T extends z.ZodType>(
  schema: T,
  value: unknown,
  location: 'body' | 'query',
): z.output<T> {
  if (value === undefined) {
    throw new InvalidRequest([
      { loc: [location], msg: 'field required', type: 'value_error.missing' },
    ]);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new InvalidRequest(result.error.issues.map((issue) => toFault(issue, location)));
}

/** Writes one zod issue as FastAPI does; texts of ours where pydantic's do not name the value. */
export function toFault(issue: z.core.$ZodIssue, ...location: (string | number)[]): Fault {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  const loc = [...location, ...path];
  const params = issue.code === 'custom' ? (issue.params ?? {}) : {};
  if (typeof params.pydantic === 'string' && typeof params.what === 'string') {
    const msg =
      KNOWN_SENTENCES[params.pydantic] ??
      describeBadValue(params.what, loc.slice(1).join('.') || 'the body', params.received);
    return { loc, msg, type: params.pydantic };
  }
  // What is left is a body that is no object at all.
  if (issue.code === 'invalid_type' && issue.expected === 'object') {
    return { loc, msg: 'value is not a valid dict', type: 'type_error.dict' };
  }
  return { loc, msg: issue.message, type: 'value_error' };
}
