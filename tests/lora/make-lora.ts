/**
 * LoRA files in every naming, with seeded values, for the parity tests and for the script that
 * records what they are compared with.
 *
 *   npx tsx tests/lora/make-lora.ts FOLDER
 *
 * The names are made here from the published rules of each trainer, apart from the tables under test.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { WeightDtype } from '../../benchmarks/checkpoints/random.ts';
import type { Fill, TensorSpec } from '../../benchmarks/checkpoints/tensors.ts';
import { writeTensors } from '../../benchmarks/checkpoints/write.ts';
import { listTensors } from '../../benchmarks/make-checkpoint.ts';
import cases from '../fixtures/lora/cases.json' with { type: 'json' };

export type LoraCase = keyof typeof cases;
export const LORA_CASES = Object.keys(cases) as LoraCase[];

type Naming = 'kohya' | 'kohya-diffusers' | 'peft' | 'diffusers' | 'processor';

export interface LoraOptions {
  arch: string;
  naming: Naming;
  /** Which layers; see `SELECTIONS`. */
  layers: keyof typeof SELECTIONS;
  rank: number;
  /** Left out of the file when undefined. */
  alpha?: number;
  dtype: 'f16' | 'bf16' | 'f32';
  /** Whether convolutions larger than 1x1 get a core tensor. */
  core?: boolean;
}

const SELECTIONS = {
  projections: /\.(to_[qkv]|to_out\.0|[qkv]_proj|out_proj)$/,
  attention: /\.(to_[qkv]|to_out\.0|[qkv]_proj|out_proj|proj_in|proj_out|proj|net\.2|fc[12])$/,
  convolutions:
    /\.(in_layers\.2|out_layers\.3|skip_connection|op|conv|out\.2)$|^input_blocks\.0\.0$/,
  all: /^(?!.*norm).*$/,
};

/** Relative size of the change at weight 1: small enough that weight 8 keeps the numbers in range. */
const STRENGTH = 0.05;

interface Layer {
  network: 'unet' | 'te1' | 'te2';
  /** In the original UNet's and in transformers' names. */
  name: string;
  shape: readonly number[];
}

/** Linear and Conv layers of an architecture; fused projections apart. */
export function listTrainable(arch: string): Layer[] {
  const isSdxl = arch.includes('sdxl');
  return listTensors({ arch }).flatMap(({ key, shape }): Layer[] => {
    const unet = /^model\.diffusion_model\.(.+)\.weight$/.exec(key)?.[1];
    if (unet) return shape.length > 1 ? [{ network: 'unet', name: unet, shape }] : [];
    const clip = /\.text_model\.(encoder\..+(?:proj|fc\d))\.weight$/.exec(key)?.[1];
    if (clip) return [{ network: 'te1', name: clip, shape }];
    const open =
      /\.transformer\.resblocks\.(\d+)\.(attn\.(?:in_proj_|out_proj\.)|mlp\.c_\w+\.)weight$/.exec(
        key,
      );
    if (!open) return [];
    const network = isSdxl ? 'te2' : 'te1';
    const at = `encoder.layers.${open[1]}`;
    const [out = 0, inner = 0] = shape;
    switch (open[2]) {
      case 'attn.in_proj_':
        return ['q', 'k', 'v'].map((part) => ({
          network,
          name: `${at}.self_attn.${part}_proj`,
          shape: [out / 3, inner],
        }));
      case 'attn.out_proj.':
        return [{ network, name: `${at}.self_attn.out_proj`, shape }];
      default:
        return [{ network, name: `${at}.mlp.${open[2] === 'mlp.c_fc.' ? 'fc1' : 'fc2'}`, shape }];
    }
  });
}

const RES: Record<string, string> = {
  'in_layers.2': 'conv1',
  'out_layers.3': 'conv2',
  'emb_layers.1': 'time_emb_proj',
  skip_connection: 'conv_shortcut',
};
const ENDS: Record<string, string> = {
  'input_blocks.0.0': 'conv_in',
  'out.2': 'conv_out',
  'time_embed.0': 'time_embedding.linear_1',
  'time_embed.2': 'time_embedding.linear_2',
  'label_emb.0.0': 'add_embedding.linear_1',
  'label_emb.0.2': 'add_embedding.linear_2',
};

/** diffusers' name of a UNet layer, for UNets with two residual blocks per level. */
function diffusersName(name: string): string {
  const end = ENDS[name];
  if (end) return end;
  const [, section = '', digits = '', rest = ''] = /^(\w+?_blocks?)\.(\d+)\.(.+)$/.exec(name) ?? [];
  const n = Number(digits);
  const part = (owner: string, index: number, inner: string) =>
    inner.startsWith('0.')
      ? `${owner}.resnets.${index}.${RES[inner.slice(2)]}`
      : `${owner}.attentions.${index}.${inner.slice(2)}`;
  if (section === 'middle_block') {
    return n === 1 ? `mid_block.attentions.0.${rest}` : `mid_block.resnets.${n / 2}.${RES[rest]}`;
  }
  if (section === 'input_blocks') {
    const level = Math.floor((n - 1) / 3);
    if (rest === '0.op') return `down_blocks.${level}.downsamplers.0.conv`;
    return part(`down_blocks.${level}`, (n - 1) % 3, rest);
  }
  const level = Math.floor(n / 3);
  if (/^\d\.conv$/.test(rest)) return `up_blocks.${level}.upsamplers.0.conv`;
  return part(`up_blocks.${level}`, n % 3, rest);
}

/** Names of a layer's two factors and of what else stands beside them. */
function namesOf(
  layer: Layer,
  { naming, arch }: LoraOptions,
): { up: string; down: string; module: string } {
  const { network, name } = layer;
  const isUnet = network === 'unet';
  if (naming === 'kohya' || naming === 'kohya-diffusers') {
    const isSdxl = arch.includes('sdxl');
    const unet = isSdxl && naming === 'kohya' ? name : isUnet ? diffusersName(name) : '';
    const start = isUnet ? 'lora_unet_' : `lora_${isSdxl ? network : 'te'}_text_model_`;
    const module = start + (isUnet ? unet : name).replaceAll('.', '_');
    return { module, up: `${module}.lora_up.weight`, down: `${module}.lora_down.weight` };
  }
  const encoder = network === 'te2' ? 'text_encoder_2' : 'text_encoder';
  const module = isUnet ? `unet.${diffusersName(name)}` : `${encoder}.text_model.${name}`;
  if (naming === 'peft') {
    return { module, up: `${module}.lora_B.weight`, down: `${module}.lora_A.weight` };
  }
  if (naming === 'diffusers') {
    const infix = isUnet ? 'lora' : 'lora_linear_layer';
    return { module, up: `${module}.${infix}.up.weight`, down: `${module}.${infix}.down.weight` };
  }
  const [, owner, part = ''] =
    /^(.+)\.(to_[qkv]|to_out\.0|[qkv]_proj|out_proj)$/.exec(module) ?? [];
  const projection =
    { q_proj: 'to_q', k_proj: 'to_k', v_proj: 'to_v', out_proj: 'to_out', 'to_out.0': 'to_out' }[
      part
    ] ?? part;
  const base = `${owner}${isUnet ? '.processor' : ''}.${projection}_lora`;
  return { module, up: `${base}.up.weight`, down: `${base}.down.weight` };
}

const normal = (std: number): Fill => ({ kind: 'normal', mean: 0, std });

/** Lists a LoRA's tensors. */
export function loraSpecs(options: LoraOptions): TensorSpec[] {
  const { rank, alpha, layers } = options;
  const upStd = (STRENGTH * Math.sqrt(rank)) / (alpha ?? rank);
  return listTrainable(options.arch)
    .filter(({ name }) => SELECTIONS[layers].test(name))
    .flatMap((layer): TensorSpec[] => {
      const { module, up, down } = namesOf(layer, options);
      const [out = 1, inner = 1, ...kernel] = layer.shape;
      const hasCore = options.core === true && kernel.some((size) => size > 1);
      const point = kernel.map(() => 1);
      return [
        ...(alpha === undefined
          ? []
          : [
              {
                key: `${module}.alpha`,
                shape: [],
                fill: { kind: 'normal', mean: alpha, std: 0 } as const,
              },
            ]),
        {
          key: down,
          shape: [rank, inner, ...(hasCore ? point : kernel)],
          fill: { kind: 'fan-in', gain: 1 },
        },
        ...(hasCore
          ? [
              {
                key: `${module}.lora_mid.weight`,
                shape: [rank, rank, ...kernel],
                fill: normal(0.5),
              },
            ]
          : []),
        { key: up, shape: [out, rank, ...point], fill: normal(upStd) },
      ];
    });
}

const DTYPES: Record<LoraOptions['dtype'], WeightDtype> = { f16: 'F16', bf16: 'BF16', f32: 'F32' };

/** Writes one LoRA; the same options give the same bytes everywhere. */
export function writeLora(file: string, options: LoraOptions, seed = 7): void {
  const metadata = { ss_output_name: path.basename(file, '.safetensors') };
  writeTensors(file, loraSpecs(options), {
    dtype: DTYPES[options.dtype],
    seed,
    norms: 'ones',
    metadata,
  });
}

/** Writes a case of `tests/fixtures/lora/cases.json`, once per machine, and returns its path. */
export function fixtureLora(name: LoraCase): string {
  const options = cases[name] as LoraOptions;
  const source = fs.readFileSync(new URL(import.meta.url), 'utf8');
  const hash = createHash('sha256').update(source).update(JSON.stringify(options)).digest('hex');
  const folder = path.join(os.tmpdir(), 'sdserve-test-loras');
  const file = path.join(folder, hash.slice(0, 16), `${name}.safetensors`);
  if (!fs.existsSync(file)) writeLora(file, options);
  return file;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const name of LORA_CASES) {
    writeLora(path.join(process.argv[2] ?? '.', `${name}.safetensors`), cases[name] as LoraOptions);
  }
}
