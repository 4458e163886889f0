import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  findLora,
  hashLoras,
  type LoraCatalogue,
  type LoraHashes,
  openLoraHashes,
  scanLoras,
  toLoraItem,
  toLoraRef,
} from '../../lora/catalogue.ts';
import { decodeMetadata } from '../../lora/metadata.ts';
import { writeTensorFile } from './write-tensors.ts';

let dir: string;
let models: string;
let hashes: LoraHashes;
beforeEach(async () => {
  dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'sdserve-loras-')));
  models = path.join(dir, 'Lora');
  fs.mkdirSync(models);
  hashes = await openLoraHashes(path.join(dir, 'hashes'));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

const put = (name: string, metadata: Record<string, string> = {}) =>
  writeTensorFile(path.join(models, name), { 'lora_unet_x.alpha': { shape: [1] } }, metadata);
const scan = (previous?: LoraCatalogue) => scanLoras([models], hashes, previous);
const names = ({ entries }: LoraCatalogue) => entries.map(({ loraName }) => loraName);

describe('scanLoras', () => {
  it('lists safetensors to the bottom; pickles are skipped with the reason', async () => {
    for (const name of ['b10.safetensors', 'b2.safetensors', 'sub/deep/a.safetensors']) put(name);
    for (const name of ['old.pt', 'old.ckpt', 'notes.txt'])
      fs.writeFileSync(path.join(models, name), 'x');
    const catalogue = await scan();
    expect(names(catalogue)).toEqual(['b2', 'b10', 'a']);
    expect(catalogue.skipped.map(({ name }) => name)).toEqual(['old.ckpt', 'old.pt']);
    expect(catalogue.skipped[0]?.reason).toMatch(/pickle/);
  });

  it('lists a damaged file with its fault', async () => {
    fs.writeFileSync(path.join(models, 'bad.safetensors'), 'nonsense');
    const { entries } = await scan();
    expect(entries[0]?.fault).toMatch(/^bad.safetensors: /);
    expect(toLoraItem(entries[0] as (typeof entries)[0]).metadata).toEqual({});
  });

  it('an empty or missing folder is an empty catalogue', async () => {
    const { entries, skipped } = await scanLoras([path.join(dir, 'none')], hashes);
    expect([entries, skipped]).toEqual([[], []]);
  });

  it('sees new, changed and removed files on the next scan', async () => {
    put('a.safetensors', { ss_output_name: 'one' });
    put('b.safetensors');
    const first = await scan();
    fs.rmSync(path.join(models, 'b.safetensors'));
    put('c.safetensors');
    put('a.safetensors', { ss_output_name: 'another' });
    const second = await scan(first);
    expect(names(second)).toEqual(['a', 'c']);
    expect(findLora(second, 'another')?.loraName).toBe('a');
    expect(findLora(second, 'one')).toBeNull();
    expect(second.entries[1]?.metadata).not.toBe(first.entries[1]?.metadata);
    const third = await scan(second);
    expect(third.entries[0]?.metadata).toBe(second.entries[0]?.metadata);
  });
});

describe('findLora', () => {
  it('finds by name, folder, extension and alias; case matters', async () => {
    put('sub/Spo.safetensors', { ss_output_name: 'sparkle' });
    const catalogue = await scan();
    const ids = ['Spo', 'sub/Spo', 'sub\\Spo', 'Spo.safetensors', 'sub/Spo.safetensors', 'sparkle'];
    for (const id of [...ids, 'C:\\loras\\Spo.safetensors', '/mnt/x/Spo']) {
      expect(findLora(catalogue, id)?.loraName, id).toBe('Spo');
    }
    for (const id of [
      'spo',
      'SPARKLE',
      '',
      'sub',
      '..',
      '__proto__',
      'constructor',
      'x'.repeat(10_000),
    ]) {
      expect(findLora(catalogue, id), id.slice(0, 20)).toBeNull();
    }
  });

  it('of two files with one name the first keeps it, the other goes by its folder, too', async () => {
    put('a/same.safetensors');
    put('b/same.safetensors');
    const catalogue = await scan();
    expect(names(catalogue)).toEqual(['same', 'b/same']);
    expect(findLora(catalogue, 'same')?.name).toBe(path.join('a', 'same.safetensors'));
    expect(findLora(catalogue, 'b/same')?.name).toBe(path.join('b', 'same.safetensors'));
    // However folders sort, the file that lies outermost has the plain name.
    put('same.safetensors');
    const more = await scan();
    expect(names(more).sort()).toEqual(['a/same', 'b/same', 'same']);
    for (const name of names(more)) {
      expect(findLora(more, name)?.name).toBe(path.join(...`${name}.safetensors`.split('/')));
    }
  });

  it('an alias of several files names none, nor does "None"; a file name beats an alias', async () => {
    put('a.safetensors', { ss_output_name: 'twin' });
    put('b.safetensors', { ss_output_name: 'Twin' });
    put('c.safetensors', { ss_output_name: 'None' });
    put('d.safetensors', { ss_output_name: 'a' });
    const catalogue = await scan();
    for (const id of ['twin', 'Twin', 'None', 'none']) expect(findLora(catalogue, id)).toBeNull();
    expect(findLora(catalogue, 'a')?.name).toBe('a.safetensors');
    expect(catalogue.entries[2]?.alias).toBe('c');
  });

  it('hostile names are keys like any other', async () => {
    put('a.safetensors', { ss_output_name: '../../x', __proto__x: '1' });
    expect(findLora(await scan(), '../../x')?.loraName).toBe('a');
  });
});

describe('hashes', () => {
  const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

  it('are AutoV2 of the file and kohya’s of the data, kept on disk', async () => {
    const bytes = fs.readFileSync(put('a.safetensors'));
    const body = bytes.subarray(8 + Number(bytes.readBigUInt64LE()));
    const catalogue = await scan();
    expect(catalogue.entries[0]?.infotextHash).toBeNull();
    await hashLoras(catalogue, hashes);
    const [entry] = catalogue.entries;
    expect(entry?.shortHash).toBe(sha(bytes).slice(0, 10));
    expect(entry?.infotextHash).toBe(sha(body).slice(0, 12));
    expect(toLoraRef(entry as NonNullable<typeof entry>)).toEqual({
      name: 'a',
      path: path.join(models, 'a.safetensors'),
      hash: sha(body).slice(0, 12),
    });
    const again = await scanLoras([models], await openLoraHashes(path.join(dir, 'hashes')));
    expect(again.entries[0]?.infotextHash).toBe(entry?.infotextHash);
  });

  it('the metadata’s own hash is taken, unless it is none', async () => {
    put('a.safetensors', { sshs_model_hash: '0123456789abcdef' });
    put('b.safetensors', { sshs_model_hash: 'x, y: <script>' });
    const catalogue = await scan();
    expect(catalogue.entries[0]?.infotextHash).toBe('0123456789ab');
    await hashLoras(catalogue, hashes);
    expect(catalogue.entries[1]?.infotextHash).toMatch(/^[0-9a-f]{12}$/);
  });

  it('a file removed meanwhile stays without', async () => {
    const file = put('a.safetensors');
    const catalogue = await scan();
    fs.rmSync(file);
    await hashLoras(catalogue, hashes);
    expect(catalogue.entries[0]?.sha256).toBeNull();
  });
});

describe('toLoraItem and decodeMetadata', () => {
  it('has the web UI’s four members', async () => {
    const file = put('a.safetensors', { ss_output_name: 'x' });
    const [entry] = (await scan()).entries;
    expect(toLoraItem(entry as NonNullable<typeof entry>)).toEqual({
      ...{ name: 'a', alias: 'x', path: file },
      metadata: { ss_output_name: 'x' },
    });
  });

  it('decodes JSON objects and puts the known keys first', () => {
    const metadata = new Map([
      ['a', '{"b": [1]}'],
      ['ss_tag_frequency', '{"dir": {"tag": 3}}'],
      ['list', '[1]'],
      ['ss_sd_model_name', 'm'],
    ]);
    const decoded = decodeMetadata(metadata);
    expect(Object.keys(decoded)).toEqual(['ss_sd_model_name', 'ss_tag_frequency', 'a', 'list']);
    expect(decoded).toEqual({
      ...{ ss_sd_model_name: 'm', ss_tag_frequency: { dir: { tag: 3 } } },
      ...{ a: { b: [1] }, list: '[1]' },
    });
  });

  it('leaves broken and bottomless JSON as text, and __proto__ a key', () => {
    const deep = '{"a":'.repeat(100_000);
    const metadata = new Map([
      ['broken', '{'],
      ['deep', deep],
      ['__proto__', '{"x":1}'],
    ]);
    const decoded = decodeMetadata(metadata);
    expect([decoded.broken, decoded.deep]).toEqual(['{', deep]);
    expect(Object.hasOwn(decoded, '__proto__')).toBe(true);
    expect(JSON.parse(JSON.stringify(decoded)).deep).toBe(deep);
  });
});
