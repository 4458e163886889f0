/** Whether a LoRA is made for a checkpoint: the same comparison that a job makes, from two headers. */
import { detectCheckpoint } from '../../networks/checkpoint/detect.ts';
import { CheckpointError } from '../../networks/checkpoint/errors.ts';
import { readHeader } from '../../networks/checkpoint/safetensors.ts';
import { LoraError } from '../errors.ts';
import { readLoraFile } from '../file.ts';
import { createLayerFinder } from '../keys.ts';
import { listLayers } from '../layers.ts';
import { matchModules } from '../match.ts';

/** How a LoRA and a checkpoint go together. */
export interface Fit {
  fits: boolean;
  /** One sentence. */
  says: string;
}

/**
 * Compares the modules of a LoRA with the layers of a checkpoint, by names and sizes.
 *
 * @returns null when the checkpoint cannot be used, so that nothing can be said
 * @throws only what is no fault of the files
 */
export async function compareWithCheckpoint(
  loraPath: string,
  checkpointPath: string,
): Promise<Fit | null> {
  const model = await readLayers(checkpointPath);
  if (!model) return null;
  try {
    const lora = await readLoraFile(loraPath);
    const { matched, unmatched } = matchModules(lora, createLayerFinder(model));
    const total = matched.length + unmatched.length;
    const says =
      unmatched.length === 0
        ? `All of its ${total} modules have a layer in the checkpoint.`
        : `${matched.length} of its ${total} modules have a layer in the checkpoint; the others change nothing.`;
    return { fits: true, says };
  } catch (error) {
    if (error instanceof LoraError || error instanceof CheckpointError) {
      const { message } = error;
      return { fits: false, says: `${message.slice(0, 1).toUpperCase()}${message.slice(1)}.` };
    }
    throw error;
  }
}

async function readLayers(path: string): Promise<ReturnType<typeof listLayers> | null> {
  try {
    const file = await readHeader(path);
    return listLayers(file.tensors, detectCheckpoint(file));
  } catch (error) {
    if (error instanceof CheckpointError) return null;
    throw error;
  }
}
