/**
 * Checks every import against the rules of `.ci/import-rules.cjs` and against cycles.
 *
 * The rules are in dependency-cruiser's words, but that tool reads TypeScript through the compiler's
 * JavaScript API, which TypeScript 7 no longer has: it finds no modules, so no violations. All imports here
 * are relative with a full file name, or bare package names, so no resolver is needed.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, posix, sep } from 'node:path';
import { z } from 'zod';

/** A regular expression; of several, any may match. */
const Pattern = z.union([z.string(), z.array(z.string()).transform((all) => all.join('|'))]);
const End = z.object({ path: Pattern.optional(), pathNot: Pattern.optional() });
const Rules = z.object({
  forbidden: z.array(
    z.object({ name: z.string(), from: End, to: End.extend({ circular: z.boolean().optional() }) }),
  ),
});
export type Rule = z.infer<typeof Rules>['forbidden'][number];

/** Path of a file from the repository's root, with slashes, and its text. */
export type Sources = ReadonlyMap<string, string>;

/** An import that a rule forbids, or a loop of imports. */
export interface Violation {
  rule: string;
  from: string;
  to: string;
}

const IMPORT = /(?:^|[\s;}])(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g;

/** Returns what a file imports: paths from the root for relative imports, `node_modules/NAME/` for packages. */
export function listImports(file: string, text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  return [...code.matchAll(IMPORT)].map((match) => {
    const specifier = match[2] ?? '';
    if (specifier.startsWith('.')) return posix.join(posix.dirname(file), specifier);
    const [scope = '', name = ''] = specifier.split('/');
    return `node_modules/${scope.startsWith('@') ? `${scope}/${name}` : scope}/`;
  });
}

/** Returns every forbidden import, every import of a file that is not there, and every cycle once. */
export function findViolations(sources: Sources, rules: readonly Rule[]): Violation[] {
  const violations: Violation[] = [];
  const graph = new Map([...sources].map(([file, text]) => [file, listImports(file, text)]));
  for (const [from, imports] of graph) {
    for (const to of imports) {
      if (to.endsWith('.ts') && !sources.has(to))
        violations.push({ rule: 'missing-file', from, to });
      for (const rule of rules) {
        if (!rule.to.circular && matches(from, rule.from) && matches(to, rule.to)) {
          violations.push({ rule: rule.name, from, to });
        }
      }
    }
  }
  if (rules.some((rule) => rule.to.circular)) violations.push(...findCycles(graph));
  return violations;
}

function matches(path: string, end: z.infer<typeof End>): boolean {
  return (
    (end.path === undefined || new RegExp(end.path).test(path)) &&
    (end.pathNot === undefined || !new RegExp(end.pathNot).test(path))
  );
}

/** Depth-first search: an import of a file that is still being visited closes a cycle. */
function findCycles(graph: ReadonlyMap<string, string[]>): Violation[] {
  const cycles: Violation[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const visit = (file: string): void => {
    state.set(file, 'open');
    for (const to of graph.get(file) ?? []) {
      if (state.get(to) === 'open') cycles.push({ rule: 'no-cycles', from: file, to });
      else if (graph.has(to) && !state.has(to)) visit(to);
    }
    state.set(file, 'done');
  };
  for (const file of graph.keys()) if (!state.has(file)) visit(file);
  return cycles;
}

/** Reads the TypeScript files below some folders of the repository. */
export function readSources(root: string, folders: readonly string[]): Map<string, string> {
  const sources = new Map<string, string>();
  for (const folder of folders.filter((name) => existsSync(join(root, name)))) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      const file = posix.join(folder, name.split(sep).join('/'));
      if (file.endsWith('.ts')) sources.set(file, readFileSync(join(root, file), 'utf8'));
    }
  }
  return sources;
}

/** Returns the rules as the repository states them. */
export function readRules(root: string): Rule[] {
  const config: unknown = createRequire(import.meta.url)(join(root, '.ci/import-rules.cjs'));
  return Rules.parse(config).forbidden;
}

function main(): void {
  const root = dirname(import.meta.dirname);
  const folders = process.argv.slice(2);
  const sources = readSources(root, folders);
  const violations = findViolations(sources, readRules(root));
  for (const { rule, from, to } of violations) console.error(`${rule}: ${from} -> ${to}`);
  console.log(`imports: ${sources.size} files, ${violations.length} violations`);
  process.exitCode = violations.length > 0 || sources.size === 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) main();
