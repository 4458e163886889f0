/** Writes fabricated checkpoints and detects what they are. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { detectCheckpoint, type ModelConfig } from '../../../networks/checkpoint/detect.ts';
import { readHeader } from '../../../networks/checkpoint/safetensors.ts';
import { type Tensors, writeSparse } from './fabricate.ts';

/** A folder for each test of the file that imports this, and the file that `detect` writes in it. */
export const place = { dir: '', file: '' };
beforeEach(() => {
  place.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'detect-'));
  place.file = path.join(place.dir, 'model.safetensors');
});
afterEach(() => {
  fs.rmSync(place.dir, { recursive: true });
});

export async function detect(
  tensors: Tensors,
  dtype = 'F16',
  metadata?: Record<string, string>,
): Promise<ModelConfig> {
  return detectCheckpoint(await readHeader(writeSparse(place.file, tensors, dtype, metadata)));
}

export const without = (tensors: Tensors, pattern: RegExp): Tensors =>
  new Map([...tensors].filter(([name]) => !pattern.test(name)));
export const only = (tensors: Tensors, pattern: RegExp): Tensors =>
  new Map([...tensors].filter(([name]) => pattern.test(name)));
export const withTensors = (tensors: Tensors, more: Record<string, number[]>): Tensors =>
  new Map([...tensors, ...Object.entries(more)]);
export const bare = (tensors: Tensors, prefix: string): Tensors =>
  new Map([...tensors].map(([name, shape]) => [name.replace(prefix, ''), shape]));
