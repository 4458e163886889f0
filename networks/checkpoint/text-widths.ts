import type { TextEncoderConfig } from './config.ts';
import { detectCheckpoint } from './detect.ts';
import { CheckpointError } from './errors.ts';
import { readHeader } from './safetensors.ts';

/**
 * Returns role and width of a checkpoint's text encoders, from its header.
 *
 * @returns null when the file is no checkpoint that can be used
 */
export async function readTextWidths(
  path: string,
): Promise<Pick<TextEncoderConfig, 'role' | 'width'>[] | null> {
  try {
    const { textEncoders } = detectCheckpoint(await readHeader(path));
    return textEncoders.map(({ role, width }) => ({ role, width }));
  } catch (error) {
    if (error instanceof CheckpointError) return null;
    throw error;
  }
}
