import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  CHECKPOINT_ERRORS,
  CheckpointError,
  quoteName,
} from '../../../networks/checkpoint/errors.ts';

describe('CHECKPOINT_ERRORS', () => {
  it('has no code that nothing throws', () => {
    const source = [
      'networks/checkpoint',
      'networks/upscaler',
      'networks/captioner',
      'pipelines/captioning',
    ]
      .flatMap((folder) => fs.readdirSync(folder).map((name) => path.join(folder, name)))
      .filter((name) => !name.endsWith('errors.ts'))
      .map((name) => fs.readFileSync(name, 'utf8'))
      .join('\n');
    // The integer reader builds these from the field: `${field}_NEGATIVE`.
    const built = /^(SHAPE|OFFSETS)_(TYPE|NEGATIVE|NOT_INTEGER|RANGE)$/;
    const unused = Object.keys(CHECKPOINT_ERRORS).filter(
      (code) => !built.test(code) && !source.includes(`'${code}'`),
    );
    expect(unused).toEqual([]);
  });

  it('explains each code in a sentence', () => {
    for (const text of Object.values(CHECKPOINT_ERRORS)) expect(text).toMatch(/^[A-Z_].*\.$/);
  });
});

describe('CheckpointError', () => {
  it('names file and tensor, and keeps folders out of the message', () => {
    const error = new CheckpointError(
      'SIZE_MISMATCH',
      '/home/me/models/a.safetensors',
      'Why.',
      't',
    );
    expect(error.message).toBe('a.safetensors, tensor "t": Why.');
    expect(error.file).toBe('/home/me/models/a.safetensors');
    expect(new CheckpointError('PICKLE', 'C:\\models\\a.ckpt', 'Why.').message).toBe(
      'a.ckpt: Why.',
    );
  });

  it('cuts and escapes what strangers wrote', () => {
    expect(quoteName('a\n\u0000"b')).toBe('"a\\n\\u0000\\"b"');
    expect(quoteName('x'.repeat(1e6)).length).toBeLessThan(200);
  });
});
