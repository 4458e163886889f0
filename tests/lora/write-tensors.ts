/** Small safetensors files for tests, written by hand: any names, any shapes. */
import fs from 'node:fs';
import path from 'node:path';

export interface SmallTensor {
  shape: readonly number[];
  /** f32 values; default: 1/128, 2/128, …, which are halves, too */
  values?: readonly number[];
  /** One byte per value; default: f32. */
  dtype?: 'BOOL';
}

/** Writes tensors and returns the path. */
export function writeTensorFile(
  file: string,
  tensors: Record<string, SmallTensor>,
  metadata: Record<string, string> = {},
): string {
  const header: [string, unknown][] = [['__metadata__', metadata]];
  const data: Buffer[] = [];
  let offset = 0;
  // The spec wants tensors of whole floats first, so that they are aligned.
  const sorted = Object.entries(tensors).sort(
    ([, a], [, b]) => Number(a.dtype === 'BOOL') - Number(b.dtype === 'BOOL'),
  );
  for (const [name, { shape, values, dtype }] of sorted) {
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = Buffer.alloc(dtype ? count : count * 4);
    for (let i = 0; i < count; i++) {
      const value = values?.[i] ?? ((i % 7) + 1) / 128;
      if (dtype) bytes[i] = value;
      else bytes.writeFloatLE(value, i * 4);
    }
    const data_offsets = [offset, offset + bytes.length];
    header.push([name, { dtype: dtype ?? 'F32', shape, data_offsets }]);
    offset += bytes.length;
    data.push(bytes);
  }
  const text = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, Buffer.concat([length, text, ...data]));
  return file;
}
