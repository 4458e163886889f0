/** The `lora` field of stable-diffusion.cpp and koboldcpp, written as tags of the prompt. */
import { HttpError } from '../server/errors.ts';

interface LoraItem {
  path?: string | undefined;
  name?: string | undefined;
  multiplier: number;
}

/** Characters that would end a tag, or begin another. */
const NOT_IN_TAGS = /[<>:]/;

/**
 * Adds a `<lora:name:multiplier>` tag for each item.
 *
 * @param prompt  with or without tags of its own
 * @param items   a path counts by its file name without extension
 * @throws HttpError BAD_REQUEST for an item without a usable name
 */
export function addLoraTags(prompt: string, items: readonly LoraItem[]): string {
  const tags = items.map(({ path, name, multiplier }) => {
    const file = (name || path || '').split(/[\\/]/).at(-1) ?? '';
    const plain = file.replace(/\.safetensors$/i, '');
    if (plain === '' || NOT_IN_TAGS.test(plain)) {
      throw new HttpError('BAD_REQUEST', 'lora: expected the name or path of a LoRA in each item.');
    }
    return `<lora:${plain}:${multiplier}>`;
  });
  return prompt + tags.join('');
}
