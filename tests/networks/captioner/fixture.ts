/** A tiny captioning model and what transformers makes of a picture with it (tests/fixtures/captioner). */
import { fileURLToPath } from 'node:url';
import { readHeader, readTensor } from '../../../networks/checkpoint/safetensors.ts';

export const CAPTIONER_FOLDER = fileURLToPath(
  new URL('../../fixtures/captioner/', import.meta.url),
);
export const CAPTIONER = `${CAPTIONER_FOLDER}model.safetensors`;
export const VOCABULARY = `${CAPTIONER_FOLDER}vocab.txt`;

/** A recorded tensor's bytes and shape. */
export async function recordedTensor(name: string) {
  const file = await readHeader(`${CAPTIONER_FOLDER}recorded.safetensors`);
  const info = file.tensors.get(name);
  if (info === undefined) throw new Error(`recorded.safetensors has no ${name}`);
  return { shape: info.shape, bytes: new Uint8Array(readTensor(file, info)) };
}

/** A recorded tensor of f32. */
export async function recordedFloats(name: string): Promise<Float32Array> {
  return new Float32Array((await recordedTensor(name)).bytes.buffer);
}
