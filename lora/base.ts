/** For which base model a LoRA was made, for the sentence that refuses it on another one. */
import type { LoraFile } from './file.ts';

/** Width of the text that the cross attention reads. */
const CONTEXT_WIDTHS: Record<number, string> = {
  768: 'Stable Diffusion 1.x',
  1024: 'Stable Diffusion 2.x',
  1280: 'the SDXL refiner',
  2048: 'SDXL',
};

/** Names that only other kinds of models have. */
const FOREIGN: readonly [RegExp, string][] = [
  [/double_blocks|single_transformer_blocks|single_blocks/, 'Flux'],
  [/joint_blocks|joint_transformer_blocks/, 'Stable Diffusion 3'],
  [/^lora_prior_/, 'Stable Cascade'],
  [/transformer_blocks[._]\d+[._](attn[._]add|img_)/, 'a diffusion transformer'],
  [
    /^(lora_transformer_|transformer\.|diffusion_model\.(blocks|layers)\.)/,
    'a diffusion transformer',
  ],
  [/(temporal_attentions|motion_modules)/, 'a video model'],
];

const CROSS_ATTENTION = /attn2[._]to_[kv]$/;
const IN_PARTS = ['down', 'hada_w1_b', 'diff'] as const;

/**
 * Returns the base model's name as people write it, or null when nothing tells: from the width of
 * the cross attention, from names, then from kohya's metadata.
 */
export function nameBase(lora: LoraFile): string | null {
  for (const { name, parts } of lora.modules) {
    const foreign = FOREIGN.find(([pattern]) => pattern.test(name));
    if (foreign) return foreign[1];
    if (!CROSS_ATTENTION.test(name)) continue;
    const width = IN_PARTS.map((part) => parts.get(part)?.shape[1]).find((size) => size);
    const base = CONTEXT_WIDTHS[width ?? 0];
    if (base !== undefined) return base;
  }
  const stated = lora.file.metadata.get('ss_base_model_version') ?? '';
  if (stated.startsWith('sdxl')) return 'SDXL';
  if (stated.startsWith('sd_v2')) return 'Stable Diffusion 2.x';
  if (stated.startsWith('sd_v1')) return 'Stable Diffusion 1.x';
  return null;
}
