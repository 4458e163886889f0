import { describe, expect, it } from 'vitest';
import { bare, detect, only, without, withTensors } from './detect-place.ts';
import {
  CHECKPOINTS,
  clipHfTensors,
  openClipTensors,
  type Tensors,
  UNETS,
  unetTensors,
  vaeTensors,
} from './fabricate.ts';

describe('honest files that are no checkpoint are named', () => {
  const named = (names: string[], shape = [4, 4]): (() => Tensors) => {
    return () => new Map(names.map((name) => [name, shape]));
  };
  const dm = 'model.diffusion_model.';

  const CASES: [what: string, code: string, tensors: () => Tensors, says: RegExp][] = [
    ['nothing', 'EMPTY_CHECKPOINT', named([]), /no tensors/],
    [
      'SD 3',
      'SD3',
      named([`${dm}joint_blocks.0.context_block.attn.qkv.weight`]),
      /Stable Diffusion 3/,
    ],
    [
      'SD 3 of diffusers',
      'SD3',
      named(['transformer_blocks.0.attn.add_q_proj.weight']),
      /Stable Diffusion 3/,
    ],
    ['Flux', 'FLUX', named([`${dm}double_blocks.0.img_attn.norm.key_norm.scale`]), /Flux/],
    [
      'Flux of diffusers',
      'FLUX',
      named(['single_transformer_blocks.0.attn.norm_k.weight']),
      /Flux/,
    ],
    [
      'Chroma',
      'CHROMA',
      named(['double_blocks.0.img_attn.qkv.weight', 'distilled_guidance_layer.in_proj.weight']),
      /Chroma/,
    ],
    ['PixArt', 'PIXART', named(['t_block.1.weight', 'x_embedder.proj.weight']), /PixArt/],
    [
      'Stable Cascade',
      'STABLE_CASCADE',
      named(['clf.1.weight', 'clip_txt_mapper.weight']),
      /Cascade/,
    ],
    ['AuraFlow', 'AURAFLOW', named(['model.double_layers.0.attn.w1q.weight']), /AuraFlow/],
    ['Hunyuan-DiT', 'HUNYUAN', named(['mlp_t5.0.weight', 'x_embedder.proj.weight']), /Hunyuan/],
    [
      'HunyuanVideo',
      'HUNYUAN',
      named([
        'double_blocks.0.img_attn.qkv.weight',
        'txt_in.individual_token_refiner.blocks.0.norm1.weight',
      ]),
      /Hunyuan/,
    ],
    [
      'Wan',
      'WAN',
      named([`${dm}head.modulation`, `${dm}blocks.0.cross_attn.norm_k.weight`]),
      /Wan/,
    ],
    ['Lumina', 'LUMINA', named(['cap_embedder.1.weight']), /Lumina/],
    ['Qwen-Image', 'QWEN_IMAGE', named(['transformer_blocks.0.img_mlp.net.0.proj.weight']), /Qwen/],
    [
      'LTX-Video',
      'OTHER_TRANSFORMER',
      named([`${dm}adaln_single.emb.timestep_embedder.linear_1.bias`]),
      /transformer/,
    ],
    [
      'Stable Video Diffusion',
      'VIDEO_MODEL',
      () =>
        withTensors(CHECKPOINTS.sd2(8), {
          [`${dm}input_blocks.1.1.time_stack.0.attn1.to_q.weight`]: [320, 320],
        }),
      /video/,
    ],
    [
      'AnimateDiff',
      'MOTION_MODULE',
      named(['down_blocks.0.motion_modules.0.temporal_transformer.norm.weight']),
      /AnimateDiff/,
    ],
    ['SD 2 depth', 'DEPTH_MODEL', () => CHECKPOINTS.sd2(5), /depth/],
    ['x4 upscaler', 'LATENT_UPSCALER', () => CHECKPOINTS.sd2(7), /x4 upscaler/],
    [
      'unCLIP',
      'UNCLIP',
      () => withTensors(CHECKPOINTS.tinySd2(), { 'embedder.model.ln_final.weight': [768] }),
      /unCLIP/,
    ],
    [
      'AltDiffusion',
      'ALT_DIFFUSION',
      () =>
        withTensors(CHECKPOINTS.tinySd15(), {
          'cond_stage_model.roberta.embeddings.word_embeddings.weight': [9, 9],
        }),
      /AltDiffusion/,
    ],
    [
      'CosXL',
      'EDM',
      () => withTensors(CHECKPOINTS.tinySdxl(), { 'edm_vpred.sigma_max': [] }),
      /EDM/,
    ],
    ['Playground 2.5', 'EDM', () => withTensors(CHECKPOINTS.tinySdxl(), { edm_mean: [4] }), /EDM/],
    [
      'a diffusers UNet',
      'DIFFUSERS_LAYOUT',
      named(['down_blocks.0.resnets.0.norm1.weight', 'time_embedding.linear_1.weight']),
      /diffusers layout/,
    ],
    [
      'only the UNet',
      'TEXT_ENCODER_MISSING',
      () => only(CHECKPOINTS.sd15(), /^model\./),
      /1\.x without its text encoder/,
    ],
    [
      'only the SDXL UNet',
      'TEXT_ENCODER_MISSING',
      () => only(CHECKPOINTS.sdxl(), /^model\./),
      /SDXL without its text encoder/,
    ],
    [
      'a UNet under bare names',
      'UNET_ONLY',
      () => bare(unetTensors(UNETS.sd15), dm),
      /without text encoders/,
    ],
    [
      'half a UNet: the way down',
      'UNET_INCOMPLETE',
      () => without(CHECKPOINTS.sd15(), /output_blocks|\.out\./),
      /out\.2\.weight.*missing/,
    ],
    [
      'half a UNet: the way up',
      'UNET_INCOMPLETE',
      () => without(CHECKPOINTS.sd15(), /input_blocks/),
      /input_blocks/,
    ],
    [
      'a UNet without its middle',
      'UNET_INCOMPLETE',
      () => without(CHECKPOINTS.sd15(), /middle_block/),
      /missing, the first/,
    ],
    [
      'a UNet with a gap in a stack of transformer blocks',
      'UNEXPECTED_TENSOR',
      () => without(CHECKPOINTS.sdxl(), /input_blocks\.7\.1\.transformer_blocks\.4\./),
      /no place/,
    ],
    ['only the VAE', 'VAE_ONLY', () => vaeTensors(), /only a VAE/],
    ['only the VAE, bare', 'VAE_ONLY', () => vaeTensors(128, 4, ''), /only a VAE/],
    [
      'a VAE of diffusers',
      'VAE_ONLY',
      named([
        'decoder.up_blocks.0.resnets.0.conv1.weight',
        'encoder.down_blocks.0.resnets.0.conv1.weight',
      ]),
      /only a VAE/,
    ],
    [
      'half a VAE',
      'VAE_INCOMPLETE',
      () => without(CHECKPOINTS.sd15(), /decoder\.conv_out/),
      /missing/,
    ],
    [
      'the VAE of Flux',
      'VAE_KIND',
      () => new Map([...without(CHECKPOINTS.sd15(), /^first/), ...vaeTensors(128, 16)]),
      /16/,
    ],
    ['only CLIP-L', 'TEXT_ENCODER_ONLY', () => clipHfTensors('text_model.'), /only a text encoder/],
    [
      'only OpenCLIP',
      'TEXT_ENCODER_ONLY',
      () => openClipTensors('', 1280, 32),
      /only a text encoder/,
    ],
    [
      'only T5',
      'TEXT_ENCODER_ONLY',
      named(['encoder.block.0.layer.0.SelfAttention.q.weight', 'shared.weight', 'a', 'b', 'c']),
      /only a text encoder/,
    ],
    [
      'CLIP vision',
      'VISION_ENCODER',
      named(['vision_model.embeddings.class_embedding']),
      /image encoder/,
    ],
    [
      'SDXL without the second encoder',
      'TEXT_ENCODER_2_MISSING',
      () => without(CHECKPOINTS.sdxl(), /embedders\.1/),
      /without its second text encoder/,
    ],
    [
      'SDXL without the first encoder',
      'TEXT_ENCODER_MISSING',
      () => without(CHECKPOINTS.sdxl(), /embedders\.0/),
      /embedders\.0/,
    ],
    [
      'a text encoder with a hole',
      'UNEXPECTED_TENSOR',
      () => without(CHECKPOINTS.sd15(), /encoder\.layers\.5\./),
      /layer before it is missing/,
    ],
    [
      'a text encoder without its last norm',
      'TEXT_ENCODER_INCOMPLETE',
      () => without(CHECKPOINTS.sd15(), /final_layer_norm/),
      /missing/,
    ],
    [
      'SDXL without the text projection',
      'TEXT_ENCODER_INCOMPLETE',
      () => without(CHECKPOINTS.sdxl(), /text_projection/),
      /missing/,
    ],
    [
      'a text encoder of another width than the UNet takes',
      'SHAPE_CONTRADICTION',
      () => new Map([...unetTensors(UNETS.sd2), ...clipHfTensors('cond_stage_model.transformer.')]),
      /768 channels but the UNet takes 1024/,
    ],
    [
      'a convolution of another width than its neighbours',
      'SHAPE_CONTRADICTION',
      () =>
        withTensors(CHECKPOINTS.sd15(), {
          [`${dm}input_blocks.4.0.in_layers.2.weight`]: [640, 321, 3, 3],
        }),
      /Expected \[640, 320, 3, 3\]/,
    ],
    [
      'a label embedding that does not fit the text',
      'SHAPE_CONTRADICTION',
      () => new Map([...CHECKPOINTS.sdxl(), ...unetTensors({ ...UNETS.sdxl, adm: 2817 })]),
      /2817/,
    ],
    [
      'a UNet with 6 input channels',
      'SHAPE_CONTRADICTION',
      () => CHECKPOINTS.sd15(6),
      /6 channels/,
    ],
    [
      'scaled 8-bit weights',
      'QUANTIZED',
      () => withTensors(CHECKPOINTS.sdxl(), { [`${dm}scaled_fp8`]: [2] }),
      /quantized/,
    ],
    [
      'a LoRA of kohya',
      'LORA',
      named(['lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight']),
      /Lora folder/,
    ],
    [
      'a LoRA of kohya for SDXL',
      'LORA',
      named(['lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha']),
      /LoRA/,
    ],
    [
      'a LoRA of PEFT',
      'LORA',
      named(['base_model.model.down_blocks.0.attn.to_q.lora_A.weight']),
      /LoRA/,
    ],
    [
      'a LoRA of diffusers',
      'LORA',
      named(['unet.down_blocks.0.attentions.0.to_q.lora.down.weight']),
      /LoRA/,
    ],
    [
      'a LoRA of old diffusers',
      'LORA',
      named(['mid_block.attentions.0.attn1.processor.to_q_lora.down.weight']),
      /LoRA/,
    ],
    ['a LoHa', 'LORA', named(['lora_unet_mid.hada_w1_a']), /LoRA/],
    ['a LoKr', 'LORA', named(['lycoris_unet_mid.lokr_w1']), /LoRA/],
    ['an OFT', 'LORA', named(['unet_mid.oft_blocks']), /LoRA/],
    [
      'a LoRA for Flux',
      'LORA',
      named(['transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight']),
      /LoRA/,
    ],
    ['an embedding', 'EMBEDDING', named(['emb_params'], [4, 768]), /embeddings folder/],
    [
      'an embedding for SDXL',
      'EMBEDDING',
      named(['clip_l', 'clip_g'], [4, 768]),
      /embeddings folder/,
    ],
    ['an embedding by its shape', 'EMBEDDING', named(['my-style'], [2, 1024]), /embeddings folder/],
    [
      'a ControlNet',
      'CONTROLNET',
      named(['control_model.input_hint_block.0.weight']),
      /ControlNet/,
    ],
    [
      'a ControlNet of diffusers',
      'CONTROLNET',
      named(['controlnet_cond_embedding.conv_in.weight', 'down_blocks.0.resnets.0.norm1.weight']),
      /ControlNet/,
    ],
    ['a T2I-Adapter', 'CONTROLNET', named(['adapter.body.0.resnets.0.block1.weight']), /T2I/],
    [
      'an IP-Adapter',
      'CONTROLNET',
      named(['image_proj.proj.weight', 'ip_adapter.1.to_k_ip.weight']),
      /IP-Adapter/,
    ],
    [
      'ESRGAN',
      'UPSCALER',
      named(['conv_first.weight', 'body.0.rdb1.conv1.weight'], [64, 3, 3, 3]),
      /upscaler folder/,
    ],
    [
      'an LLM',
      'LANGUAGE_MODEL',
      named(['model.embed_tokens.weight', 'model.layers.0.self_attn.q_proj.weight']),
      /language model/,
    ],
    ['GPT-2', 'LANGUAGE_MODEL', named(['h.0.attn.c_attn.weight', 'wte.weight']), /language model/],
    [
      'something else',
      'UNKNOWN_MODEL',
      named(['foo.bar', 'baz'], [3]),
      /not a Stable Diffusion checkpoint/,
    ],
  ];

  it.each(CASES)('%s: %s', async (_what, code, tensors, says) => {
    const result = await detect(tensors()).then(
      () => null,
      (error: unknown) => error,
    );
    expect(result).toMatchObject({ name: 'CheckpointError', code });
    const message = (result as Error).message;
    expect(message).toMatch(says);
    expect(message).toContain('model.safetensors');
    expect(message).toMatch(/[.)]$/);
  });

  it('packed integers in place of weights', async () => {
    await expect(detect(CHECKPOINTS.sd15(), 'U8')).rejects.toMatchObject({ code: 'QUANTIZED' });
  });
});
