import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { countHeads } from '../../../networks/checkpoint/config.ts';
import {
  detectCheckpoint,
  detectVae,
  type ModelConfig,
} from '../../../networks/checkpoint/detect.ts';
import { readHeader } from '../../../networks/checkpoint/safetensors.ts';
import { expectedUnetTensors } from '../../../networks/checkpoint/unet-tensors.ts';
import {
  CHECKPOINTS,
  clipHfTensors,
  countParameters,
  openClipTensors,
  type Tensors,
  UNETS,
  unetTensors,
  vaeTensors,
  writeSparse,
} from './fabricate.ts';

let dir: string;
let file: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'detect-'));
  file = path.join(dir, 'model.safetensors');
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true });
});

async function detect(
  tensors: Tensors,
  dtype = 'F16',
  metadata?: Record<string, string>,
): Promise<ModelConfig> {
  return detectCheckpoint(await readHeader(writeSparse(file, tensors, dtype, metadata)));
}

const without = (tensors: Tensors, pattern: RegExp): Tensors =>
  new Map([...tensors].filter(([name]) => !pattern.test(name)));
const only = (tensors: Tensors, pattern: RegExp): Tensors =>
  new Map([...tensors].filter(([name]) => pattern.test(name)));
const withTensors = (tensors: Tensors, more: Record<string, number[]>): Tensors =>
  new Map([...tensors, ...Object.entries(more)]);
const bare = (tensors: Tensors, prefix: string): Tensors =>
  new Map([...tensors].map(([name, shape]) => [name.replace(prefix, ''), shape]));

describe('the fabricated networks are the real ones', () => {
  it('have as many parameters as diffusers and transformers count', () => {
    const recorded = JSON.parse(
      fs.readFileSync('tests/fixtures/checkpoint/parameters.json', 'utf8'),
    );
    const clipL = clipHfTensors('');
    const towers = [openClipTensors('', 1024, 24), openClipTensors('', 1280, 32)];
    const [openClipH, openClipG] = towers.map((tower) => countParameters(tower) - 1);
    expect({
      unet: Object.fromEntries(
        Object.entries(UNETS).map(([name, unet]) => [name, countParameters(unetTensors(unet))]),
      ),
      vae: countParameters(vaeTensors()),
      clipL: countParameters(clipL),
      openClipH,
      openClipG,
    }).toEqual(recorded);
  });
});

describe('full-size checkpoints', () => {
  it('SD 1.5', async () => {
    const model = await detect(CHECKPOINTS.sd15());
    expect(model).toMatchObject({
      family: 'sd1',
      variant: 'base',
      prediction: 'eps',
      predictionUncertain: false,
      zeroTerminalSnr: false,
      sizeEmbedding: null,
      unet: {
        prefix: 'model.diffusion_model.',
        inChannels: 4,
        outChannels: 4,
        modelChannels: 320,
        channelMult: [1, 2, 4, 4],
        resBlocks: [2, 2, 2, 2],
        inputDepths: [
          [1, 1],
          [1, 1],
          [1, 1],
          [0, 0],
        ],
        outputDepths: [
          [1, 1, 1],
          [1, 1, 1],
          [1, 1, 1],
          [0, 0, 0],
        ],
        middleDepth: 1,
        middleResBlocks: 2,
        contextDim: 768,
        useLinearProj: false,
        admChannels: 0,
      },
      vae: {
        prefix: 'first_stage_model.',
        channels: 128,
        channelMult: [1, 2, 4, 4],
        resBlocks: 2,
        zChannels: 4,
        scaleFactor: 0.18215,
        hasEncoder: true,
        hasAttention: true,
        hasQuantConv: true,
        hasPostQuantConv: true,
      },
    });
    expect(model.textEncoders).toEqual([
      {
        kind: 'clip-hf',
        role: 'L',
        prefix: 'cond_stage_model.transformer.text_model.',
        width: 768,
        layers: 12,
        heads: 12,
        vocab: 49_408,
        tokens: 77,
        mlpWidth: 3072,
        activation: 'quick_gelu',
        hasProjection: false,
        projectionDim: 768,
        conditioningLayer: 12,
        normalizesConditioning: true,
      },
    ]);
    expect([320, 640, 1280].map((c) => countHeads(model.unet.heads, c))).toEqual([8, 8, 8]);
  });

  it('SD 2.x: open_clip H, its last but one layer with the final norm', async () => {
    const model = await detect(CHECKPOINTS.sd2());
    expect(model).toMatchObject({
      family: 'sd2',
      unet: { contextDim: 1024, useLinearProj: true, admChannels: 0 },
      vae: { scaleFactor: 0.18215 },
      textEncoders: [
        {
          kind: 'open-clip',
          role: 'H',
          prefix: 'cond_stage_model.model.',
          width: 1024,
          layers: 24,
          heads: 16,
          activation: 'gelu',
          conditioningLayer: 23,
          normalizesConditioning: true,
        },
      ],
    });
    expect([320, 640, 1280].map((c) => countHeads(model.unet.heads, c))).toEqual([5, 10, 20]);
  });

  it('SD 2.x whose converter left out the unused 24th layer', async () => {
    const model = await detect(without(CHECKPOINTS.sd2(), /resblocks\.23\./));
    expect(model.textEncoders[0]).toMatchObject({ layers: 23, conditioningLayer: 23 });
  });

  it('SDXL: both encoders without final norm, the pooled text of the second', async () => {
    const model = await detect(CHECKPOINTS.sdxl());
    expect(model).toMatchObject({
      family: 'sdxl',
      sizeEmbedding: { width: 256, count: 6 },
      unet: {
        channelMult: [1, 2, 4],
        inputDepths: [
          [0, 0],
          [2, 2],
          [10, 10],
        ],
        outputDepths: [
          [0, 0, 0],
          [2, 2, 2],
          [10, 10, 10],
        ],
        middleDepth: 10,
        contextDim: 2048,
        admChannels: 2816,
      },
      vae: { scaleFactor: 0.13025 },
      textEncoders: [
        { kind: 'clip-hf', role: 'L', conditioningLayer: 11, normalizesConditioning: false },
        {
          kind: 'open-clip',
          role: 'G',
          prefix: 'conditioner.embedders.1.model.',
          width: 1280,
          layers: 32,
          heads: 20,
          hasProjection: true,
          projectionDim: 1280,
          conditioningLayer: 31,
          normalizesConditioning: false,
        },
      ],
    });
  });

  it('SDXL refiner', async () => {
    const model = await detect(CHECKPOINTS.refiner());
    expect(model).toMatchObject({
      family: 'sdxl-refiner',
      sizeEmbedding: { width: 256, count: 5 },
      unet: { modelChannels: 384, contextDim: 1280, admChannels: 2560, middleDepth: 4 },
      textEncoders: [{ role: 'G', prefix: 'conditioner.embedders.0.model.' }],
    });
    expect(model.unet.inputDepths).toEqual([
      [0, 0],
      [4, 4],
      [4, 4],
      [0, 0],
    ]);
    expect(countHeads(model.unet.heads, 768)).toBe(12);
  });

  it.each(['sd15', 'sd2', 'sdxl'] as const)(
    '%s as inpainting and instruct variant',
    async (kind) => {
      const inpaint = await detect(CHECKPOINTS[kind](9));
      expect([inpaint.variant, inpaint.unet.inChannels]).toEqual(['inpaint', 9]);
      const instruct = await detect(CHECKPOINTS[kind](8));
      expect([instruct.variant, instruct.unet.inChannels]).toEqual(['instruct', 8]);
    },
  );

  it.each(['F32', 'BF16', 'F8_E4M3'])('SD 1.5 in %s', async (dtype) => {
    expect((await detect(CHECKPOINTS.sd15(), dtype)).family).toBe('sd1');
  });
});

describe('other widths, depths and layouts', () => {
  it('tiny SD 1.5, SD 2 and SDXL', async () => {
    expect(await detect(CHECKPOINTS.tinySd15())).toMatchObject({
      family: 'sd1',
      unet: { modelChannels: 32, contextDim: 64 },
      vae: { channels: 32 },
    });
    expect(await detect(CHECKPOINTS.tinySd2())).toMatchObject({
      family: 'sd2',
      unet: { channelMult: [1, 2], resBlocks: [1, 1], inputDepths: [[1], [1]] },
      textEncoders: [{ layers: 3, heads: 3, conditioningLayer: 2 }],
    });
    expect(await detect(CHECKPOINTS.tinySdxl())).toMatchObject({
      family: 'sdxl',
      sizeEmbedding: { width: 32, count: 6 },
      unet: {
        inputDepths: [
          [0, 0],
          [1, 1],
          [3, 3],
        ],
        middleDepth: 3,
      },
    });
  });

  it('head widths that 64 is not: the greatest common divisor', () => {
    const rule = { kind: 'width', width: 64 } as const;
    expect([32, 64, 96, 128, 320].map((c) => countHeads(rule, c))).toEqual([1, 1, 3, 2, 5]);
  });

  it('a distilled SDXL with one block in the middle and uneven depths', async () => {
    const tensors = without(
      CHECKPOINTS.tinySdxl(),
      /middle_block\.[12]\.|output_blocks\.2\.1\.transformer_blocks\.[12]/,
    );
    const { unet } = await detect(tensors);
    expect(unet.middleResBlocks).toBe(1);
    expect(unet.middleDepth).toBe(0);
    expect(unet.outputDepths[2]).toEqual([3, 3, 1]);
    expect([...expectedUnetTensors(unet).keys()].sort()).toEqual(
      [...tensors.keys()].filter((name) => name.startsWith('model.')).sort(),
    );
  });

  it('a text encoder without "text_model." in its names', async () => {
    const model = await detect(bare(CHECKPOINTS.sd15(), 'text_model.'));
    expect(model.textEncoders[0]?.prefix).toBe('cond_stage_model.transformer.');
  });

  it('no VAE: the engine needs a separate one', async () => {
    expect((await detect(without(CHECKPOINTS.sd15(), /^first_stage_model/))).vae).toBeNull();
  });

  it('a VAE whose attention is Linear, and one without encoder', async () => {
    const linear = new Map(CHECKPOINTS.tinySd15());
    for (const [name, shape] of linear) {
      if (/attn_1\.(q|k|v|proj_out)\.weight/.test(name)) linear.set(name, shape.slice(0, 2));
    }
    expect((await detect(linear)).vae?.hasAttention).toBe(true);
    const decoder = without(linear, /first_stage_model\.(encoder|quant_conv)/);
    expect((await detect(decoder)).vae).toMatchObject({ hasEncoder: false, hasQuantConv: false });
  });

  it('buffers and averages that are not used', async () => {
    const more = {
      betas: [1000],
      'model_ema.decay': [],
      'cond_stage_model.transformer.text_model.embeddings.position_ids': [1, 77],
      'first_stage_model.loss.logvar': [],
    };
    expect((await detect(withTensors(CHECKPOINTS.tinySd15(), more))).family).toBe('sd1');
  });
});

describe('what it predicts', () => {
  const yaml = (text: string): void => fs.writeFileSync(path.join(dir, 'model.yaml'), text);

  it('eps, and for plain SD 2.x without any sign: uncertain', async () => {
    expect(await detect(CHECKPOINTS.sd2())).toMatchObject({
      prediction: 'eps',
      predictionUncertain: true,
    });
    expect(await detect(CHECKPOINTS.sd2(9))).toMatchObject({ predictionUncertain: false });
    expect(await detect(CHECKPOINTS.sdxl())).toMatchObject({ predictionUncertain: false });
  });

  it.each([
    ['v', 'model:\n  params:\n    parameterization: "v"\n    linear_start: 0.00085\n'],
    ['v', 'model:\r\n  params:\r\n    parameterization: v # 768\r\n'],
    [
      'v',
      '  scaling_config:\n    target: sgm.modules.diffusionmodules.denoiser_scaling.VScaling\n',
    ],
    ['eps', '    parameterization: eps\n'],
  ])('%s by the .yaml beside it', async (prediction, text) => {
    yaml(text);
    expect(await detect(CHECKPOINTS.sd2(), 'F16', { 'modelspec.predict_key': 'v' })).toMatchObject({
      prediction,
      predictionUncertain: false,
    });
  });

  it.each([
    ['a comment', '# parameterization: v\n'],
    ['another key', 'x_parameterization: v\n'],
    ['a huge file', `parameterization: v\n${'#'.repeat(100_000)}`],
  ])('not by %s in the .yaml', async (_title, text) => {
    yaml(text);
    expect((await detect(CHECKPOINTS.tinySd2())).predictionUncertain).toBe(true);
  });

  it('v with zero terminal SNR by marker tensors', async () => {
    const marked = withTensors(CHECKPOINTS.tinySdxl(), { v_pred: [0], ztsnr: [0] });
    expect(await detect(marked)).toMatchObject({ prediction: 'v', zeroTerminalSnr: true });
  });

  it.each([
    ['modelspec.prediction_type', 'v', 'v'],
    ['modelspec.prediction_type', 'epsilon', 'eps'],
    ['modelspec.predict_key', 'v', 'v'],
  ])('by metadata %s: %s', async (key, value, prediction) => {
    expect(await detect(CHECKPOINTS.tinySd2(), 'F16', { [key]: value })).toMatchObject({
      prediction,
      predictionUncertain: false,
    });
  });
});

describe('separate VAE files', () => {
  it('with and without "first_stage_model.", and the factor of the family', async () => {
    const plain = await readHeader(writeSparse(file, vaeTensors(128, 4, '')));
    expect(detectVae(plain, 'sd1')).toMatchObject({ prefix: '', scaleFactor: 0.18215 });
    expect(detectVae(plain, 'sdxl').scaleFactor).toBe(0.13025);
    const prefixed = await readHeader(writeSparse(file, vaeTensors()));
    expect(detectVae(prefixed, 'sd2').prefix).toBe('first_stage_model.');
  });

  it('refuses what is none, one of Flux, a part, and the diffusers layout', async () => {
    const codeOf = async (tensors: Tensors): Promise<unknown> => {
      const header = await readHeader(writeSparse(file, tensors));
      try {
        return detectVae(header, 'sd1');
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(await codeOf(clipHfTensors('', 64, 1))).toBe('NOT_A_VAE');
    expect(await codeOf(vaeTensors(128, 16, ''))).toBe('VAE_KIND');
    expect(await codeOf(without(vaeTensors(32, 4, ''), /decoder\.mid\.block_2/))).toBe(
      'VAE_INCOMPLETE',
    );
    expect(await codeOf(without(vaeTensors(32, 4, ''), /decoder\.up\.2/))).toBe(
      'SHAPE_CONTRADICTION',
    );
    const extra = withTensors(vaeTensors(32, 4, ''), { 'encoder.down.4.x.weight': [1] });
    expect(await codeOf(extra)).toBe('UNEXPECTED_TENSOR');
    const diffusers = {
      'decoder.conv_in.weight': [512, 4, 3, 3],
      'decoder.up_blocks.0.resnets.0.conv1.weight': [512, 512, 3, 3],
    };
    expect(await codeOf(new Map(Object.entries(diffusers)))).toBe('DIFFUSERS_LAYOUT');
  });
});

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
