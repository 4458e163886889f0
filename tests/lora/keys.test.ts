import { describe, expect, it } from 'vitest';
import { layOut } from '../../benchmarks/checkpoints/write.ts';
import { listTensors } from '../../benchmarks/make-checkpoint.ts';
import { createLayerFinder, nameLayers } from '../../lora/keys.ts';
import { listLayers, type ModelLayers } from '../../lora/layers.ts';
import { type Kind, kindOf, type Part, splitKey } from '../../lora/parts.ts';
import type { TensorInfo } from '../../networks/checkpoint/safetensors.ts';

/** A full-size checkpoint's tensors: names and shapes, no data. */
function tensorsOf(arch: string): Map<string, TensorInfo> {
  return new Map(
    layOut(listTensors({ arch }), 'F16').map(({ key, shape, begin, end }) => [
      key,
      { name: key, dtype: 'F16', shape: [...shape], offset: begin, bytes: end - begin },
    ]),
  );
}

const clip = (prefix: string, role: 'L' | 'G' | 'H') => ({ prefix, role });
const TEXT = {
  sd15: [clip('cond_stage_model.transformer.text_model.', 'L')],
  sd2: [clip('cond_stage_model.model.', 'H')],
  sdxl: [
    clip('conditioner.embedders.0.transformer.text_model.', 'L'),
    clip('conditioner.embedders.1.model.', 'G'),
  ],
  refiner: [clip('conditioner.embedders.0.model.', 'G')],
};

function modelOf(arch: keyof typeof TEXT): ModelLayers {
  const config = { unet: { prefix: 'model.diffusion_model.' }, textEncoders: TEXT[arch] };
  return listLayers(tensorsOf(arch), config as Parameters<typeof listLayers>[1]);
}

describe.each(Object.keys(TEXT) as (keyof typeof TEXT)[])('full-size %s', (arch) => {
  const model = modelOf(arch);
  const find = createLayerFinder(model);

  it('a LoRA for everything people train maps completely, each module to its own layer', () => {
    const modules = new Set(
      listTensors({ arch, lora: { rank: 64 } }).map(({ key }) => key.split('.', 1)[0] as string),
    );
    const layers = new Set(
      [...modules].map((module) => {
        const target = find(module);
        return target && target.network.prefix + target.layer;
      }),
    );
    expect(layers.has(null)).toBe(false);
    expect(layers.size).toBe(modules.size);
  });

  it('no name means two layers', () => {
    for (const network of model) {
      const names = nameLayers(network);
      const own = [...network.layers.keys()].map((name) => name.replaceAll('.', '_'));
      for (const name of own) expect(names.get(name)?.replaceAll('.', '_')).toBe(name);
      expect(new Set(names.values()).size).toBe(network.layers.size);
    }
  });
});

describe('SDXL', () => {
  const model = modelOf('sdxl');
  const find = createLayerFinder(model);
  const layerOf = (module: string) => find(module)?.layer ?? null;

  it('has 560 attention projections, by both names', () => {
    const projection = /\.attn[12]\.to_(q|k|v|out\.0)$/;
    const [unet] = model;
    expect([...(unet?.layers.keys() ?? [])].filter((name) => projection.test(name))).toHaveLength(
      560,
    );
    const names = [...nameLayers(unet as (typeof model)[0])].filter(([, layer]) =>
      projection.test(layer),
    );
    const diffusers = names.filter(([name]) =>
      /^(down_blocks|up_blocks|mid_block).*to_(q|k|v|out_0)$/.test(name),
    );
    expect(new Set(diffusers.map(([, layer]) => layer)).size).toBe(560);
  });

  it.each([
    [
      'lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k',
      'input_blocks.4.1.transformer_blocks.1.attn2.to_k',
    ],
    ['lora_unet_down_blocks_1_attentions_0_proj_in', 'input_blocks.4.1.proj_in'],
    [
      'unet.down_blocks.2.attentions.1.transformer_blocks.9.ff.net.0.proj',
      'input_blocks.8.1.transformer_blocks.9.ff.net.0.proj',
    ],
    ['lora_unet_down_blocks_0_downsamplers_0_conv', 'input_blocks.3.0.op'],
    ['unet.up_blocks.0.upsamplers.0.conv', 'output_blocks.2.2.conv'],
    ['lora_unet_output_blocks_2_2_conv', 'output_blocks.2.2.conv'],
    ['unet.up_blocks.2.resnets.2.conv_shortcut', 'output_blocks.8.0.skip_connection'],
    ['unet.mid_block.resnets.1.time_emb_proj', 'middle_block.2.emb_layers.1'],
    [
      'oft_unet_middle_block_1_transformer_blocks_0_attn1_to_out_0',
      'middle_block.1.transformer_blocks.0.attn1.to_out.0',
    ],
    ['diffusion_model.time_embed.2', 'time_embed.2'],
    ['unet.add_embedding.linear_1', 'label_emb.0.0'],
    ['lycoris_conv_in', 'input_blocks.0.0'],
    ['base_model.model.conv_out', 'out.2'],
    [
      'lora_te1_text_model_encoder_layers_11_self_attn_out_proj',
      'encoder.layers.11.self_attn.out_proj',
    ],
    ['lora_te2_text_model_encoder_layers_31_mlp_fc2', 'transformer.resblocks.31.mlp.c_proj'],
    [
      'text_encoder_2.text_model.encoder.layers.0.self_attn.k_proj',
      'transformer.resblocks.0.attn.k_proj',
    ],
    [
      'text_encoder.text_model.encoder.layers.0.self_attn.to_out.0',
      'encoder.layers.0.self_attn.out_proj',
    ],
  ])('%s is %s', (module, layer) => {
    expect(layerOf(module)).toBe(layer);
  });

  it.each([
    'lora_te_text_model_encoder_layers_0_mlp_fc1',
    'lora_unet_down_blocks_0_attentions_0_proj_in',
    'lora_unet_input_blocks_4_1_transformer_blocks_2_attn1_to_q',
    'lora_unet_double_blocks_0_img_attn_proj',
    '',
    'lora_unet_',
    '__proto__',
    'constructor',
  ])('%j is no layer', (module) => {
    expect(layerOf(module)).toBeNull();
  });
});

describe('splitKey', () => {
  it.each<[string, string, Part]>([
    ['lora_unet_a.lora_down.weight', 'lora_unet_a', 'down'],
    ['lora_unet_a.alpha', 'lora_unet_a', 'alpha'],
    ['unet.a.b.lora_A.weight', 'unet.a.b', 'down'],
    ['unet.a.b.lora_B.default_0.weight', 'unet.a.b', 'up'],
    ['unet.a.b.lora.up.weight', 'unet.a.b', 'up'],
    ['text_encoder.a.lora_linear_layer.down.weight', 'text_encoder.a', 'down'],
    ['unet.a.attn1.processor.to_out_lora.up.weight', 'unet.a.attn1.to_out.0', 'up'],
    ['a.attn1.processor.to_k_lora.down.weight', 'a.attn1.to_k', 'down'],
    ['unet.a.lora_magnitude_vector', 'unet.a', 'dora_scale'],
    ['lora_unet_a.lora_mid.weight', 'lora_unet_a', 'mid'],
    ['lora_unet_a.hada_t1', 'lora_unet_a', 'hada_t1'],
    ['lora_unet_a.lokr_w2_b', 'lora_unet_a', 'lokr_w2_b'],
    ['lora_unet_a.a1.weight', 'lora_unet_a', 'a1'],
    ['lora_unet_a.weight', 'lora_unet_a', 'weight'],
    ['oft_unet_a.oft_blocks', 'oft_unet_a', 'oft_blocks'],
    ['lora_unet_a.diff_b', 'lora_unet_a', 'diff_b'],
  ])('%s', (key, module, part) => {
    expect(splitKey(key)).toEqual({ module, part });
  });

  it.each(['', 'x', 'lora_unet_a.lora_up', '.weight', 'lora_unet_a.unknown', 'lora_up.weight.'])(
    '%j is of no module',
    (key) => expect(splitKey(key)).toBeNull(),
  );
});

describe('kindOf', () => {
  it.each<[Kind | null, string]>([
    ['lora', 'up down alpha'],
    ['lora', 'up down mid dora_scale'],
    ['loha', 'hada_w1_a hada_w1_b hada_w2_a hada_w2_b hada_t1 hada_t2 alpha'],
    ['lokr', 'lokr_w1 lokr_w2_a lokr_w2_b alpha'],
    ['ia3', 'weight on_input'],
    ['full', 'diff diff_b'],
    ['norm', 'w_norm b_norm'],
    ['glora', 'a1 a2 b1 b2 alpha'],
    ['oft', 'oft_blocks rescale alpha'],
    [null, 'up alpha'],
    [null, 'alpha'],
    [null, 'hada_w1_a hada_w1_b hada_w2_a'],
    [null, 'up down hada_w1_a'],
    [null, 'lokr_w1'],
  ])('%s: %s', (kind, parts) => {
    const set = new Map(parts.split(' ').map((part) => [part as Part, null]));
    expect(kindOf(set)).toBe(kind);
  });
});
