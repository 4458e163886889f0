/** Which paths exist, and with which methods: for 405, for metrics and for the log. */
import { z } from 'zod';
import type { Operation } from '../openapi/operations.ts';

/** One path of the document. */
export interface KnownPath {
  /** As the document has it, with its parameters in braces. */
  path: string;
  methods: string[];
  /** Fields that its bodies may have. */
  bodyKeys: Set<string>;
}

export class PathTable {
  readonly #plain = new Map<string, KnownPath>();
  readonly #patterns: { pattern: RegExp; known: KnownPath }[] = [];

  constructor(operations: readonly Operation[]) {
    const all = new Map<string, KnownPath>();
    for (const { path, method, body } of operations) {
      const known = all.get(path) ?? { path, methods: [], bodyKeys: new Set() };
      known.methods.push(method);
      const fields = body instanceof z.ZodObject ? Object.keys(body.shape) : [];
      for (const key of fields) known.bodyKeys.add(key);
      all.set(path, known);
    }
    for (const [path, known] of all) {
      if (path.includes('{')) this.#patterns.push({ pattern: toPattern(path), known });
      else this.#plain.set(path, known);
    }
  }

  /** Finds what is known of a request's path; null for paths of strangers. */
  find(path: string): KnownPath | null {
    const plain = this.#plain.get(path);
    if (plain !== undefined) return plain;
    return this.#patterns.find(({ pattern }) => pattern.test(path))?.known ?? null;
  }
}

/** `/jobs/{id}/result` matches any one part in place of `{id}`. */
function toPattern(path: string): RegExp {
  const parts = path.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]+')}$`);
}
