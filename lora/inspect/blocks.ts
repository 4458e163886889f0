/** Where in a network a LoRA's module lies, by its name in any naming; no checkpoint needed. */

/** One row of an inspection's table of parts. */
export interface Place {
  network: 'unet' | 'text encoder' | 'text encoder 2';
  /** Of the UNet, from the latent down and up again; null for text encoders. */
  block: 'down' | 'mid' | 'up' | 'other' | null;
  layers: string;
}

const SECOND_ENCODER = /^(lora|lycoris|oft)_te2_|^text_encoder_2_|clip_g/;
const ENCODER = /^(lora|lycoris|oft)_te1?_|^text_encoder_|text_model_|clip_[lh]/;

const BLOCKS: readonly [RegExp, 'down' | 'mid' | 'up'][] = [
  [/down_blocks|input_blocks/, 'down'],
  [/mid_block|middle_block/, 'mid'],
  [/up_blocks|output_blocks/, 'up'],
];

/** The first that matches counts. */
const LAYERS: readonly [RegExp, string][] = [
  [/attn1_/, 'self attention'],
  [/attn2_/, 'cross attention'],
  [/self_attn_|attn_(q|k|v|out|in)_/, 'attention'],
  [/_ff_net_|_mlp_/, 'feed-forward'],
  [/proj_(in|out)$/, 'projections'],
  [/emb_layers|time_emb|label_emb|add_embedding/, 'time and size'],
  [/norm/, 'norms'],
  [
    /in_layers|out_layers|skip_connection|resnets|samplers|conv|_op$|input_blocks_0_0$|out_2$/,
    'convolutions',
  ],
];

/** Returns where a module lies. */
export function placeOf(module: string): Place {
  const name = module.replaceAll('.', '_');
  const layers = LAYERS.find(([pattern]) => pattern.test(name))?.[1] ?? 'other';
  if (SECOND_ENCODER.test(name)) return { network: 'text encoder 2', block: null, layers };
  if (ENCODER.test(name)) return { network: 'text encoder', block: null, layers };
  const block = BLOCKS.find(([pattern]) => pattern.test(name))?.[1] ?? 'other';
  return { network: 'unet', block, layers };
}
