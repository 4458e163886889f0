/** Writes hostile files into a folder of their own and tells how they are refused. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { CheckpointError } from '../../networks/checkpoint/errors.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';

export const place = { dir: '' };
beforeAll(() => {
  place.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'safetensors-'));
});
afterAll(() => {
  fs.rmSync(place.dir, { recursive: true });
});

let count = 0;
export function write(bytes: Uint8Array, name = `case-${count++}.safetensors`): string {
  const file = path.join(place.dir, name);
  fs.writeFileSync(file, bytes);
  return file;
}

/** A file: length, header, then zeros. The length can be a lie. */
export function build(header: string | Uint8Array, dataBytes = 4, length?: bigint): Buffer {
  const text = Buffer.from(header);
  const file = Buffer.alloc(8 + text.length + dataBytes);
  file.writeBigUInt64LE(length ?? BigInt(text.length));
  text.copy(file, 8);
  return file;
}

export const tensor = (fields: string): string => `{"t":{${fields}}}`;
export const good = '"dtype":"F32","shape":[1],"data_offsets":[0,4]';
export const withShape = (shape: string): string =>
  tensor(`"dtype":"F32","shape":${shape},"data_offsets":[0,4]`);
export const withOffsets = (offsets: string): string =>
  tensor(`"dtype":"F32","shape":[1],"data_offsets":${offsets}`);
export const two = (a: string, b: string): string =>
  `{"a":{"dtype":"F32","shape":[1],"data_offsets":${a}},"b":{"dtype":"F32","shape":[1],"data_offsets":${b}}}`;

export async function rejection(file: string): Promise<CheckpointError> {
  const result = await readHeader(file).then(
    () => new Error('accepted'),
    (error: unknown) => error,
  );
  expect(result).toBeInstanceOf(CheckpointError);
  return result as CheckpointError;
}
