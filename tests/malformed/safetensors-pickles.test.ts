import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CheckpointErrorCode } from '../../networks/checkpoint/errors.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { build, good, place, rejection, tensor, write } from './safetensors-files.ts';

describe('pickles are refused and never run', () => {
  const canary = (): string => path.join(place.dir, 'canary');
  const command = (): string => `touch ${canary()}`;
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
  const binary = (protocol: number): Buffer =>
    bytes(
      `\x80${String.fromCharCode(protocol)}cposix\nsystem\nX${String.fromCharCode(command().length)}\0\0\0${command()}\x85R.`,
    );
  const zip = (): Buffer =>
    bytes(`PK\x03\x04\x14\0\0\0\0\0archive/data.pkl${binary(2).toString('latin1')}`);

  const PAYLOADS: [name: string, bytes: () => Uint8Array][] = [
    ...['ckpt', 'pt', 'pth', 'bin', 'CKPT', 'Pt'].map((extension): [string, () => Uint8Array] => [
      `a.${extension}`,
      (): Uint8Array => binary(2),
    ]),
    ...['ckpt', 'pt', 'pth', 'bin'].map((extension): [string, () => Uint8Array] => [
      `zip.${extension}`,
      zip,
    ]),
    ['honest-inside.ckpt', () => build(tensor(good))],
    ['zip.safetensors', zip],
    ['empty-zip.safetensors', () => bytes(`PK\x05\x06${'\0'.repeat(18)}`)],
    ...[2, 3, 4, 5].map((protocol): [string, () => Uint8Array] => [
      `protocol${protocol}.safetensors`,
      (): Uint8Array => binary(protocol),
    ]),
    ['protocol0.safetensors', () => bytes(`cposix\nsystem\n(S'${command()}'\ntR.`)],
    [
      'protocol0-dict.safetensors',
      () => bytes(`(dp0\nS'a'\np1\ncposix\nsystem\n(S'${command()}'\ntRs.`),
    ],
    [
      'torch-legacy.safetensors',
      () => bytes('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.'),
    ],
    ['tiny.safetensors', () => bytes('\x80\x04.')],
  ];

  it.each(PAYLOADS)('%s', async (name, payload) => {
    const error = await rejection(write(payload(), name));
    expect(error.code).toBe('PICKLE');
    expect(error.message).toContain(name);
    expect(error.message).toContain('can run any code');
    expect(error.message).toMatch(/Convert it to \.safetensors/);
    expect(fs.existsSync(canary())).toBe(false);
  });

  it('covers 20 payloads', () => {
    expect(PAYLOADS.length).toBeGreaterThanOrEqual(20);
  });

  it('the payloads are live: the system command in them does make the canary', () => {
    execFileSync('/bin/sh', ['-c', command()]);
    expect(fs.existsSync(canary())).toBe(true);
    fs.rmSync(canary());
  });

  it('an honest header of 640 bytes, which starts like a pickle, is read', async () => {
    const header = tensor(good).padEnd(640);
    const file = build(header);
    expect([...file.subarray(0, 2)]).toEqual([0x80, 0x02]);
    expect((await readHeader(write(file))).tensors.size).toBe(1);
  });
});

describe('other formats and odd files', () => {
  const OTHERS: [string, string, string, CheckpointErrorCode][] = [
    ['GGUF', 'g.safetensors', 'GGUF\x03\0\0\0\0\0\0\0', 'FOREIGN_FORMAT'],
    ['a login page', 'h.safetensors', '<!DOCTYPE html><html></html>', 'FOREIGN_FORMAT'],
    [
      'a Git LFS pointer',
      'l.safetensors',
      'version https://git-lfs.github.com/spec/v1\n',
      'FOREIGN_FORMAT',
    ],
    ['gzip', 'z.safetensors', '\x1f\x8b\x08\0\0\0\0\0\0\0', 'FOREIGN_FORMAT'],
    ['HDF5', 'k.safetensors', '\x89HDF\r\n\x1a\n\0\0', 'FOREIGN_FORMAT'],
  ];
  it.each(OTHERS)('%s is named', async (_title, name, text, code) => {
    expect((await rejection(write(Buffer.from(text, 'latin1'), name))).code).toBe(code);
  });

  it('a folder, a pipe, nothing and a dead link are refused without waiting', async () => {
    const folder = path.join(place.dir, 'folder.safetensors');
    fs.mkdirSync(folder);
    expect((await rejection(folder)).code).toBe('NOT_A_FILE');
    const pipe = path.join(place.dir, 'pipe.safetensors');
    execFileSync('mkfifo', [pipe]);
    expect((await rejection(pipe)).code).toBe('NOT_A_FILE');
    expect((await rejection(path.join(place.dir, 'nothing.safetensors'))).code).toBe('NOT_FOUND');
    const link = path.join(place.dir, 'dead.safetensors');
    fs.symlinkSync(path.join(place.dir, 'nowhere'), link);
    expect((await rejection(link)).code).toBe('NOT_FOUND');
    const loop = path.join(place.dir, 'loop.safetensors');
    fs.symlinkSync(loop, loop);
    expect((await rejection(loop)).code).toBe('NOT_READABLE');
  });

  it('a link to a pickle is refused by what it leads to', async () => {
    const link = path.join(place.dir, 'link.safetensors');
    fs.symlinkSync(write(build(tensor(good)), 'target.ckpt'), link);
    expect((await rejection(link)).code).toBe('PICKLE');
  });
});
