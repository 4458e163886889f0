/** What package.json promises to `npm ci && npm start`, `npm pack` and `npx sdserve`. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const { scripts, bin, files } = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>;
  bin: Record<string, string>;
  files: string[];
};

describe('scripts', () => {
  it('need no other before or after them: .npmrc switches those off, too', () => {
    expect(read('.npmrc')).toMatch(/^ignore-scripts=true$/m);
    const hooks = Object.keys(scripts).filter(
      (name) => /^(pre|post)/.test(name) && name !== 'prepack',
    );
    expect(hooks).toEqual([]);
  });

  it('build what they run', () => {
    for (const name of ['start', 'test', 'bench']) {
      expect(scripts[name]).toMatch(/^npm run --silent build && /);
    }
    // The one place where prepack runs.
    expect(scripts.prepack).toBe('npm run --silent build');
    expect(scripts.package).toBe('npm pack --ignore-scripts=false');
  });
});

it('the command is the built server, which starts with node', () => {
  expect(bin).toEqual({ sdserve: 'dist/server/main.js' });
  expect(read('server/main.ts')).toMatch(/^#!\/usr\/bin\/env node\n/);
  expect(files).toEqual(expect.arrayContaining(['dist', 'demo/models']));
});
