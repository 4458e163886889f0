/** Where a captioning model is. */
import { access } from 'node:fs/promises';
import path from 'node:path';
import { scanFolders } from '../checkpoint/folder-scan.ts';

/** Ends of files that hold weights; pickles are told apart so that a refusal can name them. */
const WEIGHTS = /\.(safetensors|ckpt|pt|pth|bin)$/i;
const SAFETENSORS = /\.safetensors$/i;
/** The words of the model: one piece a line, as BERT's tokenizer has them. */
const VOCABULARY = 'vocab.txt';

/** A model with its words. */
export interface CaptionerFiles {
  /** Absolute path with symbolic links resolved. */
  path: string;
  /** Absolute path of the words. */
  vocabulary: string;
}

/**
 * Finds the first model in a folder and the folders below it that has its words beside it.
 *
 * @returns the files, or why there is none: a sentence that says what to put where
 */
export async function findCaptioner(folder: string): Promise<CaptionerFiles | string> {
  const { files } = await scanFolders([folder], (name) => WEIGHTS.test(name));
  const name = path.basename(folder);
  let reason = `there is no captioning model in the folder ${name} of the models`;
  for (const file of files) {
    if (!SAFETENSORS.test(file.name) || !SAFETENSORS.test(file.path)) {
      reason = `${file.name} is a pickle, which can run code when it is opened`;
      continue;
    }
    const vocabulary = path.join(path.dirname(file.filename), VOCABULARY);
    const hasWords = await access(vocabulary).then(
      () => true,
      () => false,
    );
    if (hasWords) return { path: file.path, vocabulary };
    reason = `${file.name} has no ${VOCABULARY} beside it`;
  }
  return (
    `${reason}. Put model.safetensors and ${VOCABULARY} of a BLIP captioning model in Hugging Face's ` +
    'layout there, such as those of Salesforce/blip-image-captioning-base.'
  );
}
