import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fillPattern, Output } from '../../server/output.ts';

let root: string;
let output: Output;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sdserve-output-'));
  output = new Output(join(root, 'outputs'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const picture = (seed: number | string, isGrid = false) => ({
  bytes: Buffer.from(`picture ${seed}`),
  extension: 'png' as const,
  isGrid,
  values: { seed, date: '2026-01-02', model_name: 'a/b\\c:d' },
});

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

describe('names', () => {
  it('are those of A1111, for pictures and grids', async () => {
    const plain = { filename: '', folder: '[date]' };
    await output.save('txt2img', picture(5), plain);
    await output.save('txt2img', picture(6), plain);
    await output.save('txt2img', picture(6, true), plain);
    expect(files(root)).toEqual([
      'outputs/txt2img-grids/2026-01-02/grid-0000.png',
      'outputs/txt2img-images/2026-01-02/00000-5.png',
      'outputs/txt2img-images/2026-01-02/00001-6.png',
    ]);
  });

  it('go on after what is there', async () => {
    const folder = join(root, 'outputs', 'txt2img-images');
    mkdirSync(folder, { recursive: true });
    for (const name of ['00041-1.png', '00007-2.png', 'notes.txt', '99-x', 'x-100.png']) {
      writeFileSync(join(folder, name), '');
    }
    const path = await output.save('txt2img', picture(1), { filename: '', folder: null });
    expect(path).toBe(join(folder, '00100-1.png'));
  });

  it('are unique when many pictures are saved at once', async () => {
    const paths = await Promise.all(
      Array.from({ length: 40 }, () =>
        output.save('txt2img', picture(1), { filename: '', folder: '[date]' }),
      ),
    );
    expect(new Set(paths).size).toBe(40);
    expect(files(root)).toHaveLength(40);
  });

  it('leave no half file when the last step fails', async () => {
    const where = { filename: '', folder: null };
    await output.save('txt2img', picture(1), where);
    const folder = join(root, 'outputs', 'txt2img-images');
    // A folder under the next picture's name: it cannot be renamed over.
    mkdirSync(join(folder, '00001-1.png', 'x'), { recursive: true });
    await expect(output.save('txt2img', picture(1), where)).rejects.toThrow();
    expect(readdirSync(folder).sort()).toEqual(['00000-1.png', '00001-1.png']);
    expect(await output.save('txt2img', picture(2), where)).toContain('00001-2.png');
  });
});

describe('patterns', () => {
  const HOSTILE = [
    '..',
    '../..',
    '../../etc/passwd',
    '/etc/passwd',
    '..\\..\\windows',
    'C:\\x',
    '\\\\server\\share',
    '%2e%2e/x',
    './././..',
    '....//....//x',
    'a/../../b',
    '[date]/../../x',
    '[model_name]',
    '\u0000',
    'x\u0000.png',
    'CON',
    'nul.txt',
    'LPT1',
    ' ',
    '.',
    '\u202egnp.exe',
    'x'.repeat(10_000),
    '[seed][seed][seed]',
    '~',
    '$HOME',
    '`id`',
    '\n',
    '[__proto__]',
    '[constructor]',
    '*?<>|"',
  ];

  it.each(HOSTILE)('never lead out of the folder: %j', async (pattern) => {
    const outside = files(root);
    const save = (where: { filename: string; folder: string | null }) =>
      output.save('txt2img', picture('../../x'), where).catch(() => null);
    await save({ filename: pattern, folder: null });
    await save({ filename: '', folder: pattern });
    for (const file of files(root)) {
      expect(file.startsWith('outputs/txt2img-images/')).toBe(true);
      expect(file).not.toMatch(/(^|\/)\.\.(\/|$)/);
    }
    expect(outside).toEqual([]);
    expect(readdirSync(root).filter((name) => name !== 'outputs')).toEqual([]);
  });

  it('make one part of a path of anything', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.string(), (pattern, value) => {
        const part = fillPattern(pattern, { value, seed: 1 });
        expect(part).not.toMatch(/[/\\:*?"<>|\p{Cc}]/u);
        expect(part === '.' || part === '..').toBe(false);
        expect(part.length).toBeLessThanOrEqual(61);
      }),
    );
  });

  it('fill known tokens only', () => {
    expect(fillPattern('[seed]-[toString]-[x]', { seed: 7 })).toBe('7-[toString]-[x]');
  });
});
