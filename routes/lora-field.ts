/** The `lora` field of stable-diffusion.cpp and koboldcpp, written as tags of the prompt. */
import type { Options } from '../openapi/schemas/options.ts';
import type { LoraRef } from '../pipelines/job.ts';
import type { Context } from '../server/context.ts';
import { HttpError } from '../server/errors.ts';

/** Keys of a tag that an item may have, too. */
const KEYS = ['te', 'unet', 'dyn', 'lbw', 'start', 'stop', 'hr', 'hrte', 'hrunet'] as const;

/** Looks LoRAs up. */
type Names = Pick<Context['loras'], 'find' | 'findByPath'>;

type LoraItem = {
  path?: string | undefined;
  name?: string | undefined;
  multiplier: number;
  multipliers?: readonly number[] | undefined;
} & { [Key in (typeof KEYS)[number]]?: string | undefined };

/** Characters that would end a tag, or begin another; with one `=` a name would be a key. */
const NOT_IN_TAGS = /[<>:]|^[^=]*=[^=]*$/;
/** The same within a value of a key. */
const NOT_IN_VALUES = /[<>:=]/;

/**
 * Adds a `<lora:name:multiplier>` tag for each item, with the keys that it has.
 *
 * @param loras   what there is
 * @param prompt  with or without tags of its own
 * @param items   a path counts by its file name without extension, unless another file has the same
 * @throws HttpError BAD_REQUEST for an item without a usable name, or with a value that is none
 */
export function addLoraTags(loras: Names, prompt: string, items: readonly LoraItem[]): string {
  return prompt + items.map((item) => writeTag(loras, item)).join('');
}

/** What a tag calls the LoRA that an item means. */
function nameIn(loras: Names, { name, path }: LoraItem): string {
  const asked = name || path || '';
  const base = (asked.split(/[\\/]/).at(-1) ?? '').replace(/\.safetensors$/i, '');
  const entry = loras.findByPath(asked);
  return entry && loras.find(base) !== entry ? entry.loraName : base;
}

function writeTag(loras: Names, item: LoraItem): string {
  const { multiplier, multipliers = [] } = item;
  const plain = nameIn(loras, item);
  if (plain === '' || NOT_IN_TAGS.test(plain)) {
    throw new HttpError(
      'BAD_REQUEST',
      'lora: expected the name or path of a LoRA in each item, without < > : and =.',
    );
  }
  const keys = KEYS.flatMap((key) => {
    const value = item[key] ?? (key === 'unet' && multipliers.length > 0 && multipliers.join('|'));
    if (value === false || value === undefined) return [];
    if (!NOT_IN_VALUES.test(value)) return [`${key}=${value}`];
    throw new HttpError('BAD_REQUEST', `lora: expected a weight for ${key} of ${plain}.`);
  });
  return `<${['lora', plain, multipliers[0] ?? multiplier, ...keys].join(':')}>`;
}

/**
 * Finds the files of a prompt's LoRAs.
 *
 * @throws HttpError LORA_NOT_FOUND when one is missing that the request does not switch off, and the
 *   options ask for an error
 */
export async function findPromptLoras(
  { loras }: Pick<Context, 'loras'>,
  prompt: string,
  { sdserve_missing_lora }: Pick<Options, 'sdserve_missing_lora'>,
  { disable_extra_networks }: { disable_extra_networks: boolean | null },
): Promise<LoraRef[]> {
  const found = await loras.findForPrompt(prompt);
  if (sdserve_missing_lora !== 'error' || disable_extra_networks) return found;
  const names = new Set(found.map(({ name }) => name));
  const missing = loras.namesIn(prompt).filter((name) => !names.has(name));
  if (missing.length === 0) return found;
  throw new HttpError('LORA_NOT_FOUND', `Networks not found: ${missing.join(', ')}`);
}
