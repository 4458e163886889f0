/** Small safetensors files for tests, written by hand: any names, any shapes. */
import fs from 'node:fs';
import path from 'node:path';

export interface SmallTensor {
  shape: readonly number[];
  /** f32 values; default: 0.01, 0.02, … */
  values?: readonly number[];
}

/** Writes f32 tensors and returns the path. */
export function writeTensorFile(
  file: string,
  tensors: Record<string, SmallTensor>,
  metadata: Record<string, string> = {},
): string {
  const header: [string, unknown][] = [['__metadata__', metadata]];
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = Buffer.alloc(count * 4);
    for (let i = 0; i < count; i++) bytes.writeFloatLE(values?.[i] ?? ((i % 7) + 1) / 100, i * 4);
    header.push([name, { dtype: 'F32', shape, data_offsets: [offset, offset + bytes.length] }]);
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
