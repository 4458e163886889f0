import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  findViolations,
  listImports,
  type Rule,
  readRules,
  readSources,
} from '../../.ci/check-imports.ts';

const ROOT = dirname(dirname(import.meta.dirname));
const HOUSE = readRules(ROOT);

/** What the house's own rules say about some files. */
function check(files: Record<string, string>, rules: readonly Rule[] = HOUSE): string[] {
  return findViolations(new Map(Object.entries(files)), rules).map(
    ({ rule, from, to }) => `${rule}: ${from} -> ${to}`,
  );
}

describe('imports', () => {
  it('are found in every form', () => {
    const text = [
      "import a from './a.ts';",
      "import type { B } from '../b.ts';",
      "import {\n  c,\n  d,\n} from '../c/d.ts';",
      "export { e } from './e.ts';",
      "export * from './f.ts';",
      "import './g.ts';",
      "const h = await import('./h.ts');",
      "import { readFileSync } from 'node:fs';",
      "import { z } from '@scope/name/deep';",
      "// import x from './not-a-line-comment.ts';",
      "/**\n * import x from './not-a-doc-comment.ts';\n */",
    ].join('\n');
    expect(listImports('server/engine/x.ts', text)).toEqual([
      'server/engine/a.ts',
      'server/b.ts',
      'server/c/d.ts',
      'server/engine/e.ts',
      'server/engine/f.ts',
      'server/engine/g.ts',
      'server/engine/h.ts',
      'node_modules/node:fs/',
      'node_modules/@scope/name/',
    ]);
  });
});

describe('the rules of the house', () => {
  const target = {
    'networks/unet.ts': '',
    'lora/plan.ts': '',
    'server/app.ts': '',
    'images/a.ts': '',
  };

  it.each([
    ['networks/x.ts', '../lora/plan.ts', 'networks-imports'],
    ['images/x.ts', '../networks/unet.ts', 'images-imports'],
    ['lora/x.ts', '../networks/unet.ts', 'lora-imports'],
    ['pipelines/x.ts', '../server/app.ts', 'pipelines-imports'],
    ['routes/x.ts', '../networks/unet.ts', 'routes-imports'],
    ['server/x.ts', '../networks/unet.ts', 'server-imports'],
    ['pipelines/x.ts', 'onnxruntime-node', 'onnxruntime-in-one-place'],
    ['pipelines/x.ts', 'sharp', 'sharp-in-one-place'],
    ['pipelines/x.ts', 'express', 'express-on-the-http-side'],
    ['server/engine/process/x.ts', 'express', 'engine-process-is-headless'],
  ])('forbid %s to import %s', (from, specifier, rule) => {
    const violations = check({ ...target, [from]: `import x from '${specifier}';` });
    expect(violations).toContainEqual(expect.stringMatching(`^${rule}: ${from} -> `));
  });

  it.each([
    ['pipelines/x.ts', '../lora/plan.ts'],
    ['pipelines/x.ts', '../images/a.ts'],
    ['images/x.ts', 'sharp'],
    ['networks/session.ts', 'onnxruntime-node'],
  ])('let %s import %s', (from, specifier) => {
    expect(check({ ...target, [from]: `import x from '${specifier}';` })).toEqual([]);
  });

  it('forbid cycles, and name the import that closes one', () => {
    const cycle = {
      'lora/a.ts': "import './b.ts';",
      'lora/b.ts': "import './c.ts';",
      'lora/c.ts': "import './a.ts';",
    };
    expect(check(cycle)).toEqual(['no-cycles: lora/c.ts -> lora/a.ts']);
  });

  it('want the imported file to be there', () => {
    expect(check({ 'lora/a.ts': "import './b.ts';" })).toEqual([
      'missing-file: lora/a.ts -> lora/b.ts',
    ]);
  });
});

it('the house keeps its rules', () => {
  const folders = ['server', 'routes', 'openapi', 'pipelines', 'lora', 'networks', 'images'];
  const sources = readSources(ROOT, folders);
  expect(sources.size).toBeGreaterThan(20);
  expect(findViolations(sources, HOUSE)).toEqual([]);
});
