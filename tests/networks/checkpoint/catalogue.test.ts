import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  findCheckpoint,
  findClosestCheckpoint,
  findVae,
  HashCache,
  hashCheckpoints,
  resolveVae,
  scanCheckpoints,
  scanVaes,
  toSdModel,
  toSdVae,
} from '../../../networks/checkpoint/catalogue.ts';

let dir: string;
let models: string;
let cachePath: string;
let cache: HashCache;
beforeEach(async () => {
  dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'catalogue-')));
  models = path.join(dir, 'Stable-diffusion');
  fs.mkdirSync(models);
  cachePath = path.join(dir, 'hashes.json');
  cache = await HashCache.open(cachePath);
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true });
});

function put(name: string, content: string | Uint8Array = name, root = models): string {
  const file = path.join(root, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
  return file;
}
const sha = (content: string | Uint8Array): string =>
  createHash('sha256').update(content).digest('hex');

describe('scanCheckpoints', () => {
  it('lists safetensors to the bottom of the folders, in the order of people', async () => {
    for (const name of ['b10.safetensors', 'b2.safetensors', 'a/z.SAFETENSORS', 'notes.txt'])
      put(name);
    const other = path.join(dir, 'other');
    put('c.safetensors', 'c', other);
    const { entries } = await scanCheckpoints([models, other, path.join(dir, 'none')], cache);
    expect(entries.map((entry) => entry.name)).toEqual([
      path.join('a', 'z.SAFETENSORS'),
      'b2.safetensors',
      'b10.safetensors',
      'c.safetensors',
    ]);
  });

  it('lists a file once when one folder lies in another', async () => {
    put('sub/a.safetensors');
    const { entries } = await scanCheckpoints([models, path.join(models, 'sub')], cache);
    expect(entries.map((entry) => entry.name)).toEqual([path.join('sub', 'a.safetensors')]);
  });

  it('passes over pickles and dead links, saying why, and over VAEs in silence', async () => {
    put('old.ckpt');
    put('a.vae.safetensors');
    put('link-target.pt', 'x', dir);
    fs.symlinkSync(path.join(dir, 'link-target.pt'), path.join(models, 'hidden.safetensors'));
    fs.symlinkSync(path.join(dir, 'nowhere'), path.join(models, 'dead.safetensors'));
    const { entries, skipped } = await scanCheckpoints([models], cache);
    expect(entries).toEqual([]);
    expect(skipped.map(({ name }) => name).sort()).toEqual([
      'dead.safetensors',
      'hidden.safetensors',
      'old.ckpt',
    ]);
    expect(skipped.find(({ name }) => name === 'old.ckpt')?.reason).toContain('can run code');
    expect(skipped.find(({ name }) => name === 'dead.safetensors')?.reason).toContain('nowhere');
  });

  it('follows links to files and folders elsewhere, and ends at links that go in circles', async () => {
    const elsewhere = path.join(dir, 'disk');
    const file = put('blob', 'weights', elsewhere);
    put('more/m.safetensors', 'm', elsewhere);
    fs.symlinkSync(file, path.join(models, 'linked.safetensors'));
    fs.symlinkSync(path.join(elsewhere, 'more'), path.join(models, 'more'));
    fs.symlinkSync(models, path.join(models, 'self'));
    const { entries } = await scanCheckpoints([models], cache);
    expect(entries.map(({ name, path: real }) => [name, real])).toEqual([
      ['linked.safetensors', file],
      [path.join('more', 'm.safetensors'), path.join(elsewhere, 'more', 'm.safetensors')],
    ]);
  });

  it("shows the web UI's members, without hash until it is known", async () => {
    const file = put('sub/model one.safetensors', 'weights');
    put('sub/model one.yaml', '');
    const catalogue = await scanCheckpoints([models], cache);
    const [entry] = catalogue.entries;
    expect(toSdModel(entry!)).toEqual({
      title: path.join('sub', 'model one.safetensors'),
      model_name: 'sub_model one',
      hash: null,
      sha256: null,
      filename: file,
      config: file.replace('.safetensors', '.yaml'),
    });
    await hashCheckpoints(catalogue, cache);
    expect(toSdModel(entry!)).toMatchObject({
      title: `${path.join('sub', 'model one.safetensors')} [${sha('weights').slice(0, 10)}]`,
      hash: sha('weights').slice(0, 10),
      sha256: sha('weights'),
    });
  });
});

describe('findCheckpoint', () => {
  it('accepts every id of the web UI', async () => {
    const content = Buffer.alloc(0x120000, 7);
    put('sub/m.safetensors', content);
    put('other.safetensors');
    const catalogue = await scanCheckpoints([models], cache);
    await hashCheckpoints(catalogue, cache);
    const name = path.join('sub', 'm.safetensors');
    const short = sha(content).slice(0, 10);
    const legacy = sha(content.subarray(0x100000, 0x110000)).slice(0, 8);
    const ids = [
      ...[legacy, 'sub_m', `${name} [${short}]`, name, 'm', `${name} [${legacy}]`],
      ...[short, sha(content), `m [${short}]`],
    ];
    for (const id of ids) expect(findCheckpoint(catalogue, id)?.name, id).toBe(name);
  });

  it('never makes a path: hostile names are unknown', async () => {
    put('m.safetensors');
    put('secret.safetensors', 'x', dir);
    const catalogue = await scanCheckpoints([models], cache);
    const hostile = [
      ...[
        '../secret.safetensors',
        '..\\secret',
        '%2e%2e/secret',
        './m.safetensors',
        'm.safetensors\0',
      ],
      ...['', '__proto__', 'constructor', 'CON', 'C:\\x', '//host/x', 'm'.repeat(10_000), 'M'],
      path.join(models, 'm.safetensors'),
    ];
    for (const id of hostile) expect(findCheckpoint(catalogue, id), id.slice(0, 40)).toBeNull();
    expect(findCheckpoint(catalogue, 'm')).not.toBeNull();
  });

  it('keeps a shared base name for the first, but tells both apart by name', async () => {
    put('a/m.safetensors');
    put('b/m.safetensors');
    const catalogue = await scanCheckpoints([models], cache);
    expect(findCheckpoint(catalogue, 'm')?.name).toBe(path.join('a', 'm.safetensors'));
    expect(findCheckpoint(catalogue, 'b_m')?.name).toBe(path.join('b', 'm.safetensors'));
  });

  it('prefers a file that is called so over one whose derived id is the same', async () => {
    put('a/b.safetensors');
    put('a_b.safetensors');
    const catalogue = await scanCheckpoints([models], cache);
    expect(findCheckpoint(catalogue, 'a_b.safetensors')?.name).toBe('a_b.safetensors');
  });

  it('finds the closest title for names out of an infotext', async () => {
    put('dreams v10 long.safetensors');
    put('dreams v1.safetensors');
    const catalogue = await scanCheckpoints([models], cache);
    const closest = (text: string): string | undefined =>
      findClosestCheckpoint(catalogue, text)?.name;
    expect(closest('dreams')).toBe('dreams v1.safetensors');
    expect(closest('v10')).toBe('dreams v10 long.safetensors');
    expect(closest('dreams v1.safetensors [0123456789]')).toBe('dreams v1.safetensors');
    expect(closest('')).toBeUndefined();
    expect(closest('night')).toBeUndefined();
  });
});

describe('hashes', () => {
  it('are kept on disk and looked up by path, size and date', async () => {
    const file = put('m.safetensors', 'one');
    await hashCheckpoints(await scanCheckpoints([models], cache), cache);
    const again = await HashCache.open(cachePath);
    expect((await scanCheckpoints([models], again)).entries[0]?.sha256).toBe(sha('one'));
    fs.writeFileSync(file, 'two');
    fs.utimesSync(file, 1, 1);
    const changed = await scanCheckpoints([models], again);
    expect(changed.entries[0]?.sha256).toBeNull();
    await hashCheckpoints(changed, again);
    expect(changed.entries[0]?.sha256).toBe(sha('two'));
    expect(fs.readdirSync(dir).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('of two servers that share the file both stay there', async () => {
    const file = put('m.safetensors', 'one');
    const other = await HashCache.open(cachePath);
    await hashCheckpoints(await scanCheckpoints([models], cache), cache);
    fs.rmSync(file);
    put('n.safetensors', 'two');
    await hashCheckpoints(await scanCheckpoints([models], other), other);
    const names = ['m.safetensors', 'n.safetensors'].map((name) => path.join(models, name));
    expect(Object.keys(JSON.parse(fs.readFileSync(cachePath, 'utf8'))).sort()).toEqual(names);
  });

  it.each([
    ['damaged', '{"a":'],
    ['of another shape', '[1, null]'],
    ['with hostile members', '{"__proto__":{"bytes":1,"mtimeMs":1,"sha256":"x"},"b":null}'],
  ])('a cache file that is %s is begun anew', async (_title, text) => {
    fs.writeFileSync(cachePath, text);
    put('m.safetensors', 'one');
    const opened = await HashCache.open(cachePath);
    const catalogue = await scanCheckpoints([models], opened);
    await hashCheckpoints(catalogue, opened);
    expect(catalogue.entries[0]?.sha256).toBe(sha('one'));
    expect(JSON.parse(fs.readFileSync(cachePath, 'utf8'))).toHaveProperty([
      path.join(models, 'm.safetensors'),
      'sha256',
    ]);
  });

  it('work without a place to keep them', async () => {
    put('m.safetensors', 'one');
    for (const place of [null, path.join(dir, 'no', 'such', 'folder.json')]) {
      const memory = await HashCache.open(place);
      const catalogue = await scanCheckpoints([models], memory);
      await hashCheckpoints(catalogue, memory);
      expect(catalogue.entries[0]?.sha256).toBe(sha('one'));
    }
  });

  it('go on past a file that vanished, and stop when told to', async () => {
    const gone = put('a.safetensors');
    put('b.safetensors', 'b');
    const catalogue = await scanCheckpoints([models], cache);
    fs.rmSync(gone);
    const done: string[] = [];
    await hashCheckpoints(catalogue, cache, (entry) => done.push(entry.name));
    expect(done).toEqual(['b.safetensors']);
    const stopped = await scanCheckpoints([models], await HashCache.open(null));
    await hashCheckpoints(stopped, await HashCache.open(null), undefined, AbortSignal.abort());
    expect(stopped.entries[0]?.sha256).toBeNull();
  });

  it('let other work run while a large file is read', async () => {
    const file = put('big.safetensors', '');
    fs.truncateSync(file, 128 * 1024 * 1024);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await hashCheckpoints(await scanCheckpoints([models], cache), cache);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(10);
  });
});

describe('VAEs', () => {
  let vaes: string;
  beforeEach(() => {
    vaes = path.join(dir, 'VAE');
    put('ft-mse.safetensors', 'x', vaes);
    put('old.pt', 'x', vaes);
    put('m.safetensors');
    put('m.vae.safetensors');
    put('anime.vae.safetensors');
  });

  it('are those of the VAE folder and those beside checkpoints, as the web UI shows them', async () => {
    const catalogue = await scanVaes([vaes], [models]);
    expect(catalogue.entries.map(toSdVae)).toEqual([
      { model_name: 'anime.vae.safetensors', filename: path.join(models, 'anime.vae.safetensors') },
      { model_name: 'ft-mse.safetensors', filename: path.join(vaes, 'ft-mse.safetensors') },
      { model_name: 'm.vae.safetensors', filename: path.join(models, 'm.vae.safetensors') },
    ]);
    expect(catalogue.skipped.map(({ name }) => name)).toEqual(['old.pt']);
    expect(findVae(catalogue, 'ft-mse.safetensors')?.path).toBe(
      path.join(vaes, 'ft-mse.safetensors'),
    );
    expect(findVae(catalogue, '../VAE/ft-mse.safetensors')).toBeNull();
  });

  it('a link to a file without extension, as the Hugging Face cache makes them, is listed', async () => {
    const blob = put('0a1b2c', 'x', dir);
    fs.symlinkSync(blob, path.join(vaes, 'hub.safetensors'));
    expect(findVae(await scanVaes([vaes], []), 'hub.safetensors')?.path).toBe(blob);
  });

  it('resolve as the option says', async () => {
    const catalogue = await scanVaes([vaes], [models]);
    const resolve = (setting: string, base: string): [string | undefined, string] => {
      const { vae, source } = resolveVae(catalogue, setting, base);
      return [vae?.modelName, source];
    };
    expect(resolve('None', 'm')).toEqual([undefined, 'none']);
    expect(resolve('Automatic', 'm')).toEqual(['m.vae.safetensors', 'beside the checkpoint']);
    expect(resolve('Automatic', 'anim')).toEqual([undefined, 'none']);
    expect(resolve('ft-mse.safetensors', 'm')).toEqual(['ft-mse.safetensors', 'setting']);
    expect(resolve('missing.pt', 'm')).toEqual([undefined, 'unknown']);
  });
});
