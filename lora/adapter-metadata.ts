/** Where PEFT's files keep alpha: not in a tensor, but as JSON in the header (diffusers >= 0.34). */

/** Longest text that is parsed, in UTF-16 units; diffusers writes a few thousand. */
const MAX_TEXT_LENGTH = 1024 * 1024;

/** What the metadata calls the network of a module, by how its name starts. */
const OWNERS = [
  ['unet.', 'unet.'],
  ['text_encoder_2.', 'text_encoder_2.'],
  ['text_encoder.', 'text_encoder.'],
] as const;

/**
 * Returns alpha / rank (with rsLoRA alpha / sqrt(rank); Kalajdzievski 2023) as the header's
 * `lora_adapter_metadata` says; 1 when it says nothing, as diffusers assumes.
 *
 * @param module  dotted name as in the file
 */
export function adapterScale(
  metadata: ReadonlyMap<string, string>,
  module: string,
  rank: number,
): number {
  const owner = OWNERS.find(([start]) => module.startsWith(start))?.[1];
  const text = metadata.get('lora_adapter_metadata');
  if (!owner || text === undefined || text.length > MAX_TEXT_LENGTH) return 1;
  let settings: unknown;
  try {
    settings = JSON.parse(text);
  } catch {
    return 1;
  }
  if (typeof settings !== 'object' || settings === null) return 1;
  const values = settings as Record<string, unknown>;
  const pattern = values[`${owner}alpha_pattern`];
  const layer = module.slice(owner.length);
  const alpha = ofPattern(pattern, layer) ?? values[`${owner}lora_alpha`];
  if (typeof alpha !== 'number' || !Number.isFinite(alpha)) return 1;
  return values[`${owner}use_rslora`] === true ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** The entry whose key is the layer's name or its last parts. */
function ofPattern(pattern: unknown, layer: string): unknown {
  if (typeof pattern !== 'object' || pattern === null) return undefined;
  return Object.entries(pattern).find(([key]) => layer === key || layer.endsWith(`.${key}`))?.[1];
}
