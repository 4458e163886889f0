/**
 * Which layer of the checkpoint a LoRA's module means, in every naming that trainers use.
 *
 * All names are compared with `_` for `.`: kohya writes them so, and no two layers of a network
 * differ in nothing else. A layer has up to three names: its own, diffusers', transformers'.
 */
import type { NetworkLayers } from './layers.ts';

/** What diffusers calls the parts of a residual block. */
const RES_PARTS: Record<string, string> = {
  'in_layers.0': 'norm1',
  'in_layers.2': 'conv1',
  'emb_layers.1': 'time_emb_proj',
  'out_layers.0': 'norm2',
  'out_layers.3': 'conv2',
  skip_connection: 'conv_shortcut',
};

/** What diffusers calls the layers outside the blocks. */
const UNET_ENDS: Record<string, string> = {
  'time_embed.0': 'time_embedding.linear_1',
  'time_embed.2': 'time_embedding.linear_2',
  'label_emb.0.0': 'add_embedding.linear_1',
  'label_emb.0.2': 'add_embedding.linear_2',
  'input_blocks.0.0': 'conv_in',
  'out.0': 'conv_norm_out',
  'out.2': 'conv_out',
};

/** What transformers calls the parts of open_clip's blocks. */
const OPEN_CLIP_PARTS: Record<string, string> = {
  ln_1: 'layer_norm1',
  ln_2: 'layer_norm2',
  'attn.q_proj': 'self_attn.q_proj',
  'attn.k_proj': 'self_attn.k_proj',
  'attn.v_proj': 'self_attn.v_proj',
  'attn.out_proj': 'self_attn.out_proj',
  'mlp.c_fc': 'mlp.fc1',
  'mlp.c_proj': 'mlp.fc2',
};

/** What diffusers' attention processors call the projections of transformers' attention. */
const PROCESSOR_PARTS: Record<string, string> = {
  q_proj: 'to_q',
  k_proj: 'to_k',
  v_proj: 'to_v',
  out_proj: 'to_out.0',
};

/**
 * What module names start with, per network. A lone open_clip tower goes by the names of a first
 * encoder, too. The empty start last: PEFT adapters saved by themselves say no network.
 */
const STARTS: Record<NetworkLayers['role'], readonly string[]> = {
  unet: [
    ...[
      'lora_unet_',
      'lycoris_unet_',
      'oft_unet_',
      'boft_unet_',
      'unet_',
      'model_diffusion_model_',
    ],
    ...['diffusion_model_', 'lycoris_', 'base_model_model_', ''],
  ],
  L: [
    ...['lora_te_', 'lora_te1_', 'lycoris_te_', 'lycoris_te1_', 'oft_te_', 'oft_te1_'],
    ...['text_encoder_', 'clip_l_transformer_', 'lycoris_', 'base_model_model_', ''],
  ],
  H: ['lora_te_', 'lycoris_te_', 'oft_te_', 'text_encoder_', 'lycoris_', 'base_model_model_', ''],
  G: ['lora_te2_', 'lycoris_te2_', 'oft_te2_', 'text_encoder_2_', 'clip_g_transformer_'],
};
/** Only a file for SDXL says `te1`; what says `te` is of SD 1.x or 2.x. */
const NOT_IN_SDXL = new Set(['lora_te_', 'lycoris_te_', 'oft_te_']);
const LONE_G = ['lora_te_', 'text_encoder_', 'lycoris_', 'base_model_model_', ''];

/** A layer that a module means. */
export interface Target {
  network: NetworkLayers;
  layer: string;
}

/** Finds the layer that a module means; null when the checkpoint has no such layer. */
export type LayerFinder = (module: string) => Target | null;

/** Returns the finder for a checkpoint's networks. */
export function createLayerFinder(networks: readonly NetworkLayers[]): LayerFinder {
  const encoders = networks.filter(({ role }) => role !== 'unet').length;
  const indexes = networks.map((network) => ({
    network,
    names: nameLayers(network),
    starts: startsOf(network, encoders),
  }));
  return (module) => {
    const name = module.replaceAll('.', '_');
    for (const { network, names, starts } of indexes) {
      for (const start of starts) {
        if (!name.startsWith(start)) continue;
        const layer = names.get(name.slice(start.length));
        if (layer !== undefined) return { network, layer };
      }
    }
    return null;
  };
}

function startsOf({ role }: NetworkLayers, encoders: number): readonly string[] {
  if (role === 'G' && encoders === 1) return [...STARTS.G, ...LONE_G];
  if (role === 'L' && encoders > 1) return STARTS.L.filter((start) => !NOT_IN_SDXL.has(start));
  return STARTS[role];
}

/** Every name of every layer, with `_` for `.` → the layer. */
export function nameLayers(network: NetworkLayers): Map<string, string> {
  const names = new Map<string, string>();
  const add = (name: string, layer: string) => names.set(name.replaceAll('.', '_'), layer);
  const blocks = network.role === 'unet' ? diffusersBlocks(network.layers) : new Map();
  for (const layer of network.layers.keys()) {
    add(layer, layer);
    if (network.role === 'unet') {
      const diffusers = diffusersName(layer, blocks);
      if (diffusers !== null) add(diffusers, layer);
      // Old processors and some converters leave the index of the list out.
      if (layer.endsWith('.to_out.0')) add((diffusers ?? layer).slice(0, -2), layer);
      continue;
    }
    const hf = transformersName(layer);
    add(hf, layer);
    // transformers >= 5 has no text_model any more, open_clip's converted names neither.
    add(`text_model.${hf}`, layer);
    const processor = /^(.*)\.(q_proj|k_proj|v_proj|out_proj)$/.exec(hf);
    if (processor) {
      const part = PROCESSOR_PARTS[processor[2] as string];
      add(`text_model.${processor[1]}.${part}`, layer);
    }
  }
  return names;
}

/** A text layer's name in transformers' `CLIPTextModel`, below `text_model`. */
function transformersName(layer: string): string {
  if (layer === 'ln_final') return 'final_layer_norm';
  const match = /^transformer\.resblocks\.(\d+)\.(.+)$/.exec(layer);
  const part = OPEN_CLIP_PARTS[match?.[2] ?? ''];
  return part === undefined ? layer : `encoder.layers.${match?.[1]}.${part}`;
}

/** A UNet layer's name in diffusers' `UNet2DConditionModel`; null when it has none. */
function diffusersName(layer: string, blocks: ReadonlyMap<string, string>): string | null {
  const end = UNET_ENDS[layer];
  if (end !== undefined) return end;
  const match = /^((?:input_blocks|output_blocks)\.\d+\.\d+|middle_block\.\d+)\.(.+)$/.exec(layer);
  const block = blocks.get(match?.[1] ?? '');
  if (!match || block === undefined) return null;
  const rest = match[2] as string;
  if (block.includes('samplers')) return `${block}.conv`;
  return `${block}.${block.includes('resnets') ? (RES_PARTS[rest] ?? rest) : rest}`;
}

/**
 * Blocks of the original UNet → diffusers' blocks. diffusers counts per level; a level ends with its
 * down- or upsampler.
 */
function diffusersBlocks(layers: ReadonlyMap<string, unknown>): Map<string, string> {
  const blocks = new Map<string, string>();
  const has = (name: string) => layers.has(name);
  let [level, j] = [0, 0];
  for (let n = 1; ; n++) {
    const block = `input_blocks.${n}`;
    if (has(`${block}.0.op`)) {
      blocks.set(`${block}.0`, `down_blocks.${level++}.downsamplers.0`);
      j = 0;
    } else if (has(`${block}.0.in_layers.2`)) {
      blocks.set(`${block}.0`, `down_blocks.${level}.resnets.${j}`);
      blocks.set(`${block}.1`, `down_blocks.${level}.attentions.${j++}`);
    } else break;
  }
  // Without attention the two residual blocks are numbered 0 and 1.
  const hasAttention = has('middle_block.1.proj_in');
  blocks.set('middle_block.0', 'mid_block.resnets.0');
  blocks.set('middle_block.1', hasAttention ? 'mid_block.attentions.0' : 'mid_block.resnets.1');
  if (hasAttention) blocks.set('middle_block.2', 'mid_block.resnets.1');
  [level, j] = [0, 0];
  for (let n = 0; has(`output_blocks.${n}.0.in_layers.2`); n++) {
    const block = `output_blocks.${n}`;
    blocks.set(`${block}.0`, `up_blocks.${level}.resnets.${j}`);
    const upsampler = [1, 2].find((part) => has(`${block}.${part}.conv`));
    if (upsampler !== 1) blocks.set(`${block}.1`, `up_blocks.${level}.attentions.${j}`);
    j++;
    if (upsampler === undefined) continue;
    blocks.set(`${block}.${upsampler}`, `up_blocks.${level++}.upsamplers.0`);
    j = 0;
  }
  return blocks;
}
