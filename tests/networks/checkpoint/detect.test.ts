import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { countHeads } from '../../../networks/checkpoint/config.ts';
import { detectVae } from '../../../networks/checkpoint/detect.ts';
import { readHeader } from '../../../networks/checkpoint/safetensors.ts';
import { expectedUnetTensors } from '../../../networks/checkpoint/unet-tensors.ts';
import { bare, detect, place, without, withTensors } from './detect-place.ts';
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
  const yaml = (text: string): void => fs.writeFileSync(path.join(place.dir, 'model.yaml'), text);

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
    const plain = await readHeader(writeSparse(place.file, vaeTensors(128, 4, '')));
    expect(detectVae(plain, 'sd1')).toMatchObject({ prefix: '', scaleFactor: 0.18215 });
    expect(detectVae(plain, 'sdxl').scaleFactor).toBe(0.13025);
    const prefixed = await readHeader(writeSparse(place.file, vaeTensors()));
    expect(detectVae(prefixed, 'sd2').prefix).toBe('first_stage_model.');
  });

  it('refuses what is none, one of Flux, a part, and the diffusers layout', async () => {
    const codeOf = async (tensors: Tensors): Promise<unknown> => {
      const header = await readHeader(writeSparse(place.file, tensors));
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
