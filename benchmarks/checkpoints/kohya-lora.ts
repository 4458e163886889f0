/** Tensors of a LoRA as kohya's sd-scripts writes it, for every layer people train. */
import { architecture, type Family, unetShape } from './architectures.ts';
import type { TensorSpec } from './tensors.ts';
import { unetTensors } from './unet.ts';

export interface LoraParts {
  rank: number;
  /** The factors are applied with alpha / rank. */
  alpha: number;
  /** Standard deviation of the change at weight 1, relative to that of the weight it changes. */
  strength: number;
  /** Whether text encoder layers are part of it. */
  textEncoder: boolean;
}

const TRAINED =
  /\.(attn[12]\.to_(q|k|v|out\.0)|ff\.net\.0\.proj|ff\.net\.2|proj_in|proj_out)\.weight$/;
const BLOCK = /^(input_blocks|middle_block|output_blocks)\.(\d+)\.(?:1\.)?(.*)$/;

/**
 * Names an attention layer of the original UNet as diffusers does: the form kohya uses for SD 1
 * and SD 2. SDXL files keep the original names.
 */
function diffusersName(key: string): string {
  const [, section, digits, rest] = BLOCK.exec(key) ?? [];
  const block = Number(digits);
  switch (section) {
    case 'input_blocks':
      return `down_blocks_${Math.floor((block - 1) / 3)}_attentions_${(block - 1) % 3}_${rest}`;
    case 'output_blocks':
      return `up_blocks_${Math.floor(block / 3)}_attentions_${block % 3}_${rest}`;
    default:
      return `mid_block_attentions_0_${rest}`;
  }
}

/** The prefix of each encoder's layers, by the architecture's family; the refiner has G only. */
const TEXT_PREFIXES: Record<Family, { clip?: string; openClip?: string }> = {
  sd1: { clip: 'lora_te' },
  sd2: { openClip: 'lora_te' },
  sdxl: { clip: 'lora_te1', openClip: 'lora_te2' },
  refiner: { openClip: 'lora_te2' },
};

/** Lists `name.alpha`, `name.lora_down.weight` and `name.lora_up.weight` for every trained layer. */
export function loraTensors(name: string, parts: LoraParts): TensorSpec[] {
  const arch = architecture(name);
  const { rank, alpha, strength } = parts;
  // Fan-in weights have std 1 / sqrt(in), so has down; up makes up for rank and alpha.
  const upStd = (strength * Math.sqrt(rank)) / alpha;
  const factors = (layer: string, [out = 1, inputs = 1, ...kernel]: readonly number[]) => [
    { key: `${layer}.alpha`, shape: [], fill: { kind: 'normal', mean: alpha, std: 0 } as const },
    {
      key: `${layer}.lora_down.weight`,
      shape: [rank, inputs, ...kernel],
      fill: { kind: 'fan-in', gain: 1 } as const,
    },
    {
      key: `${layer}.lora_up.weight`,
      shape: [out, rank, ...kernel.map(() => 1)],
      fill: { kind: 'normal', mean: 0, std: upStd } as const,
    },
  ];
  const hasDiffusersNames = arch.family === 'sd1' || arch.family === 'sd2';
  const tensors: TensorSpec[] = unetTensors(unetShape(arch), 4)
    .filter(({ key }) => TRAINED.test(key))
    .flatMap(({ key, shape }) => {
      const layer = key.slice(0, -'.weight'.length);
      const named = hasDiffusersNames ? diffusersName(layer) : layer;
      return factors(`lora_unet_${named.replaceAll('.', '_')}`, shape);
    });
  if (!parts.textEncoder) return tensors;
  for (const kind of ['clip', 'openClip'] as const) {
    const prefix = TEXT_PREFIXES[arch.family][kind];
    const shape = arch[kind];
    if (prefix === undefined || shape === undefined) continue;
    const { width } = shape;
    for (let index = 0; index < shape.layers; index++) {
      const layer = `${prefix}_text_model_encoder_layers_${index}`;
      for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
        tensors.push(...factors(`${layer}_self_attn_${part}`, [width, width]));
      }
      tensors.push(...factors(`${layer}_mlp_fc1`, [4 * width, width]));
      tensors.push(...factors(`${layer}_mlp_fc2`, [width, 4 * width]));
    }
  }
  return tensors;
}
