import type { CheckpointErrorCode } from './errors.ts';

/** A kind of file that is not a checkpoint this server can run, and how to know it. */
export interface ForeignKind {
  code: CheckpointErrorCode;
  /** What it is and what to do, as a sentence. */
  says: string;
  /** A tensor name that only this kind has, after any of the prefixes that savers put before it. */
  marker: RegExp;
}

const NO_TRANSFORMER =
  'a diffusion transformer, which cannot be run; this server runs Stable Diffusion 1.x, 2.x and SDXL.';

/**
 * Foreign kinds by their marker tensors, most special first: several share a part of their names
 * (Chroma has all of Flux's, HunyuanVideo most).
 */
export const FOREIGN_MODELS: readonly ForeignKind[] = [
  {
    code: 'CHROMA',
    says: `This is Chroma, ${NO_TRANSFORMER}`,
    marker: /(^|\.)distilled_guidance_layer\./,
  },
  {
    code: 'HUNYUAN',
    says: `This is a Hunyuan model, ${NO_TRANSFORMER}`,
    marker: /(^|\.)(txt_in\.individual_token_refiner\.|mlp_t5\.0\.weight$)/,
  },
  {
    code: 'FLUX',
    says: `This is Flux, ${NO_TRANSFORMER}`,
    marker:
      /(^|\.)(double_blocks\.0\.img_|double_stream_modulation_img\.|single_transformer_blocks\.0\.)/,
  },
  {
    code: 'SD3',
    says: `This is Stable Diffusion 3, ${NO_TRANSFORMER}`,
    marker:
      /(^|\.)(joint_blocks\.0\.(context|x)_block\.|transformer_blocks\.0\.attn\.add_q_proj\.weight$)/,
  },
  {
    code: 'QWEN_IMAGE',
    says: `This is Qwen-Image, ${NO_TRANSFORMER}`,
    marker: /(^|\.)transformer_blocks\.0\.img_(mlp|mod)\./,
  },
  {
    code: 'AURAFLOW',
    says: `This is AuraFlow, ${NO_TRANSFORMER}`,
    marker: /(^|\.)(double_layers\.0\.attn\.w1q\.weight$|joint_transformer_blocks\.0\.)/,
  },
  {
    code: 'PIXART',
    says: `This is PixArt, ${NO_TRANSFORMER}`,
    marker:
      /(^|\.)(t_block\.1\.weight$|y_embedder\.y_embedding$|blocks\.0\.cross_attn\.kv_linear\.)/,
  },
  {
    code: 'WAN',
    says: `This is Wan, ${NO_TRANSFORMER}`,
    marker: /(^|\.)(head\.modulation$|blocks\.0\.cross_attn\.norm_k\.weight$)/,
  },
  {
    code: 'LUMINA',
    says: `This is Lumina or Z-Image, ${NO_TRANSFORMER}`,
    marker: /(^|\.)(cap_embedder\.1\.weight$|cap_pad_token$)/,
  },
  {
    code: 'STABLE_CASCADE',
    says: 'This is Stable Cascade (Wuerstchen), which cannot be run; take a Stable Diffusion 1.x, 2.x or SDXL checkpoint.',
    marker: /(^|\.)(clf\.1\.weight$|clip_txt_mapper\.weight$|clip_mapper\.weight$|effnet_mapper\.)/,
  },
  {
    code: 'OTHER_TRANSFORMER',
    says: `This is ${NO_TRANSFORMER}`,
    marker:
      /(^|\.)(adaln_single\.emb\.timestep_embedder\.|t5_yproj\.weight$|caption_projection\.|patchify_proj\.|x_embedder\.proj\.|transformer\.rotary_pos_emb\.inv_freq$|double_stream_blocks\.0\.|transformer_blocks\.0\.scale_shift_table$|net\.blocks\.0\.)/,
  },
  {
    code: 'MOTION_MODULE',
    says: 'This is an AnimateDiff motion module, not a checkpoint.',
    marker: /(^|\.)motion_modules\./,
  },
  {
    code: 'CONTROLNET',
    says: 'This is a ControlNet, T2I-Adapter or IP-Adapter, not a checkpoint.',
    marker:
      /(^|\.)(input_hint_block\.0\.|zero_convs\.0\.|controlnet_cond_embedding\.|controlnet_down_blocks\.0\.|lora_controlnet$)|^control_model\.|^(adapter\.)?body\.0\.(resnets|block[12])\.|^(image_proj|ip_adapter)\./,
  },
];

/** Names that adapters of weights use, in all the styles of trainers: kohya, PEFT, diffusers, LyCORIS. */
export const LORA_NAME = new RegExp(
  [
    String.raw`\.lora_(up|down|mid|A|B|a|b)\b`,
    String.raw`[._]lora\.(up|down)\b`,
    String.raw`_lora\.(up|down)\.weight$`,
    String.raw`\.lora_linear_layer\.`,
    String.raw`\.(hada_[wt][12]|lokr_[wt][12]|oft_blocks|oft_diag|dora_scale|boft_)`,
    String.raw`\.(oft_R|ia3_l|glora_|vera_lambda)`,
    String.raw`^(lora|lycoris|oft|boft)_(unet|te\d?|transformer|prior)_`,
    String.raw`^(unet|text_encoder(_2)?|transformer)\..*\.(lora|to_[qkv]_lora|processor)\b`,
  ].join('|'),
);

/** A UNet in the diffusers layout; a VAE of that layout has `encoder.` before the same names. */
export const DIFFUSERS_UNET =
  /^(unet\.|model\.)?(down_blocks\.0\.resnets\.0\.|time_embedding\.linear_1\.)/;
/** A VAE in the diffusers layout. */
export const DIFFUSERS_VAE = /^(vae\.)?(encoder\.down_blocks|decoder\.up_blocks)\.0\.resnets\.0\./;

/** What else is met in checkpoint folders; looked at when there is no UNet at all. */
export const OTHER_FILES: readonly ForeignKind[] = [
  {
    code: 'UPSCALER',
    says: 'This is an image upscaler (ESRGAN and its like), not a checkpoint: put it into the upscaler folder.',
    marker:
      /^(params_ema\.)?(conv_first\.weight$|body\.0\.rdb1\.|RRDB_trunk\.0\.|model\.1\.sub\.0\.|layers\.0\.residual_group\.|upsampler?\.0\.)/,
  },
  {
    code: 'VISION_ENCODER',
    says: 'This is an image encoder (CLIP vision), not a checkpoint.',
    marker: /^(vision_model\.|visual\.|vision_tower\.|image_encoder\.)/,
  },
  {
    code: 'LANGUAGE_MODEL',
    says: 'This is a language model, not a Stable Diffusion checkpoint.',
    marker:
      /(^|\.)(lm_head\.weight|embed_tokens\.weight|layers\.0\.self_attn\.q_proj\.weight|h\.0\.attn\.c_attn\.weight|gpt_neox\.layers\.0\.|wte\.weight|layers\.0\.attention\.wq\.weight)/,
  },
];

/** A text encoder by itself: CLIP in three layouts, T5. */
export const TEXT_ENCODER_NAME =
  /(^|\.)(text_model\.(encoder|embeddings)\.|transformer\.resblocks\.0\.|encoder\.block\.0\.layer\.0\.SelfAttention\.|encoder\.layers\.0\.self_attn\.)/;

/** Textual inversions: A1111's and the SDXL pair's names; see also the shapes in `detect.ts`. */
export const EMBEDDING_NAME = /^(emb_params|clip_l|clip_g|string_to_param(\..*)?|<[^>]+>)$/;

/** Tensors that belong to packed or scaled weights. */
export const QUANTIZED_NAME =
  /(^|\.)(scaled_fp8|scale_weight|weight_scale(_2)?|weight\.(absmax|quant_map|quant_state\..*)|qweight|qzeros)$/;
