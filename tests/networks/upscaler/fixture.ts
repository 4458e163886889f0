/** Tiny upscalers and what PyTorch makes of a picture with each (tests/fixtures/upscaler). */
import { fileURLToPath } from 'node:url';
import { readHeader, readTensor } from '../../../networks/checkpoint/safetensors.ts';

export const UPSCALER_FOLDER = fileURLToPath(new URL('../../fixtures/upscaler/', import.meta.url));

/** Path of a recorded upscaler. */
export function upscalerFile(name: string): string {
  return `${UPSCALER_FOLDER}${name}.safetensors`;
}

/** The input u8 [h, w, 3] and the output f32 [3, scale h, scale w] of a recorded case. */
export async function recordedRun(name: string) {
  const file = await readHeader(upscalerFile('outputs'));
  const read = (part: string) => {
    const info = file.tensors.get(`${name}.${part}`);
    if (info === undefined) throw new Error(`outputs.safetensors has no ${name}.${part}`);
    return { shape: info.shape, data: new Uint8Array(readTensor(file, info)) };
  };
  const output = read('output');
  return {
    input: read('input'),
    output: { shape: output.shape, data: new Float32Array(output.data.buffer) },
  };
}
