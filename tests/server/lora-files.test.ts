import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LoraEntry } from '../../lora/catalogue.ts';
import { HttpError } from '../../server/errors.ts';
import {
  checkFileName,
  createPartPath,
  publishLora,
  removeLora,
  removeParts,
} from '../../server/lora-files.ts';
import { writeTensorFile } from '../lora/write-tensors.ts';

let dir: string;
let loraDir: string;
beforeEach(() => {
  dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-files-')));
  loraDir = path.join(dir, 'Lora');
  fs.mkdirSync(loraDir);
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

describe('checkFileName', () => {
  it.each([
    ['spo', 'spo.safetensors'],
    ['spo.safetensors', 'spo.safetensors'],
    ['SPO v1.5 (4k).SafeTensors', 'SPO v1.5 (4k).safetensors'],
    ['墨水', '墨水.safetensors'],
    ['e\u0301t\u00e9', '\u00e9t\u00e9.safetensors'],
    ['console', 'console.safetensors'],
  ])('takes %j', (name, expected) => expect(checkFileName(name)).toBe(expected));

  it.each([
    '',
    '.safetensors',
    '.',
    '..',
    '../../x',
    '..\\..\\x.safetensors',
    '/etc/passwd',
    'C:\\x.safetensors',
    'C:x',
    'a/b.safetensors',
    'a\0b',
    'a\0.safetensors',
    'a\nb',
    'a\u202eb',
    'a\ud800',
    '.hidden',
    ' x',
    'x.',
    'x .safetensors',
    'x'.repeat(10_000),
    '墨'.repeat(100),
    'con',
    'NUL.safetensors',
    'Com1.v2',
    'lpt¹',
    'a<lora:b>',
    'a*',
    'a=b',
    'x.pt',
    'x.ckpt.safetensors',
  ])('refuses %j', (name) => {
    expect(() => checkFileName(name)).toThrow(HttpError);
    try {
      checkFileName(name);
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(300);
    }
  });

  it('leaves the folder for no name at all', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (name) => {
        let file: string;
        try {
          file = checkFileName(name);
        } catch {
          return;
        }
        expect(path.dirname(path.join(loraDir, file))).toBe(loraDir);
        expect(path.win32.basename(file)).toBe(file);
        expect(checkFileName(file)).toBe(file);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('publishLora', () => {
  const upload = async (tensors: Parameters<typeof writeTensorFile>[1]) =>
    writeTensorFile(await createPartPath(loraDir, 100), tensors);
  const good = { 'lora_unet_x.diff': { shape: [2] } };

  it('puts a LoRA into the folder under its name', async () => {
    const part = await upload(good);
    expect(await publishLora(part, loraDir, 'x.safetensors', false)).toBe(
      path.join(loraDir, 'x.safetensors'),
    );
    expect(fs.readdirSync(loraDir)).toEqual(['x.safetensors']);
  });

  it('refuses a taken name unless told to replace', async () => {
    fs.writeFileSync(path.join(loraDir, 'x.safetensors'), 'old');
    const refusal = publishLora(await upload(good), loraDir, 'x.safetensors', false);
    await expect(refusal).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    expect(fs.readFileSync(path.join(loraDir, 'x.safetensors'), 'utf8')).toBe('old');
    await publishLora(await upload(good), loraDir, 'x.safetensors', true);
    expect(fs.readFileSync(path.join(loraDir, 'x.safetensors'), 'utf8')).not.toBe('old');
    expect(fs.readdirSync(loraDir)).toEqual(['x.safetensors']);
  });

  it('replaces a link and not what it leads to; a folder never', async () => {
    const outside = path.join(dir, 'outside.safetensors');
    fs.writeFileSync(outside, 'outside');
    fs.symlinkSync(outside, path.join(loraDir, 'x.safetensors'));
    await publishLora(await upload(good), loraDir, 'x.safetensors', true);
    expect(fs.readFileSync(outside, 'utf8')).toBe('outside');
    expect(fs.lstatSync(path.join(loraDir, 'x.safetensors')).isFile()).toBe(true);
    fs.mkdirSync(path.join(loraDir, 'y.safetensors'));
    for (const overwrite of [true, false]) {
      const refusal = publishLora(await upload(good), loraDir, 'y.safetensors', overwrite);
      await expect(refusal).rejects.toMatchObject({ code: 'FILE_EXISTS' });
    }
    expect(fs.readdirSync(loraDir)).toEqual(['x.safetensors', 'y.safetensors']);
  });

  it('of two that come at once with one name lets one in', async () => {
    const parts = [await upload(good), await upload(good)];
    const results = await Promise.allSettled(
      parts.map((part) => publishLora(part, loraDir, 'x.safetensors', false)),
    );
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(fs.readdirSync(loraDir)).toEqual(['x.safetensors']);
  });

  it('refuses what is no LoRA and says what it is', async () => {
    const part = await upload({ emb_params: { shape: [1, 768] } });
    await expect(publishLora(part, loraDir, 'x.safetensors', false)).rejects.toMatchObject({
      code: 'NOT_A_LORA',
      message: expect.stringContaining('textual inversion'),
    });
    const nonsense = await createPartPath(loraDir, 100);
    fs.writeFileSync(nonsense, 'nonsense');
    const refusal = publishLora(nonsense, loraDir, 'x.safetensors', false);
    await expect(refusal).rejects.toMatchObject({
      message: expect.stringContaining('x.safetensors:'),
    });
    expect(fs.readdirSync(loraDir)).toEqual([]);
  });

  it('leaves nothing of an upload that a kill cut off, once started again', async () => {
    fs.writeFileSync(await createPartPath(loraDir, 1), 'half');
    fs.writeFileSync(path.join(loraDir, '.upload-mine.part'), 'not ours');
    await removeParts(loraDir);
    expect(fs.readdirSync(loraDir)).toEqual(['.upload-mine.part']);
    await removeParts(path.join(dir, 'nowhere'));
  });

  it('refuses a file that the disk has no room for', async () => {
    await expect(createPartPath(loraDir, 2 ** 60)).rejects.toMatchObject({ code: 'DISK_FULL' });
  });
});

describe('removeLora', () => {
  const entryOf = (name: string) => ({ name, filename: path.join(loraDir, name) }) as LoraEntry;

  it('removes the file, of a link the link', async () => {
    const target = path.join(dir, 'elsewhere.safetensors');
    fs.writeFileSync(target, 'x');
    fs.symlinkSync(target, path.join(loraDir, 'link.safetensors'));
    await removeLora(entryOf('link.safetensors'), loraDir);
    expect(fs.existsSync(target)).toBe(true);
    expect(fs.readdirSync(loraDir)).toEqual([]);
  });

  it('removes nothing outside the folder, through links neither', async () => {
    const outside = path.join(dir, 'outside');
    fs.mkdirSync(outside);
    fs.writeFileSync(path.join(outside, 'x.safetensors'), 'x');
    fs.symlinkSync(outside, path.join(loraDir, 'sub'));
    for (const name of ['sub/x.safetensors', '../outside/x.safetensors']) {
      await expect(removeLora(entryOf(name), loraDir)).rejects.toMatchObject({
        code: 'LORA_PROTECTED',
      });
    }
    expect(fs.existsSync(path.join(outside, 'x.safetensors'))).toBe(true);
  });
});
