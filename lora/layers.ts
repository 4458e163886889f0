/** The layers of a checkpoint that a LoRA can change, read from its tensor names. */
import type { ModelConfig, TextEncoderConfig } from '../networks/checkpoint/config.ts';
import type { TensorInfo } from '../networks/checkpoint/safetensors.ts';

/** One layer: a Linear, a convolution, or a norm. */
export interface Layer {
  /** Its name without the network's prefix, as the network's LoRA ports have it. */
  name: string;
  out: number;
  /** 1 for norms. */
  in: number;
  /** [kh, kw] of a convolution, else empty. */
  kernel: number[];
  isNorm: boolean;
  /** Whether it has low-rank inputs; other layers can only be changed by merging. */
  hasPort: boolean;
  /** Name of the tensor with its weight; of its bias, or null. */
  weight: string;
  bias: string | null;
  /** The rows of both that are this layer's, where several are fused; null: all. */
  rows: [from: number, to: number] | null;
}

/** The layers of one network. */
export interface NetworkLayers {
  /** What its tensors' names start with: how plans call the network. */
  prefix: string;
  /** `L`, `G` and `H` are text encoders. */
  role: 'unet' | TextEncoderConfig['role'];
  layers: ReadonlyMap<string, Layer>;
}

/** The networks of a checkpoint: the UNet first, then the text encoders in the config's order. */
export type ModelLayers = readonly NetworkLayers[];

/** Tables that LoRAs do not change; they have no low-rank inputs. */
const TABLES = /(^|\.)(token_embedding|position_embedding)$/;
const IN_PROJ = /^(.*\.attn)\.in_proj_weight$/;
const FUSED = ['q_proj', 'k_proj', 'v_proj'] as const;

/**
 * Lists the layers of a checkpoint's UNet and text encoders; any width and depth.
 *
 * @param tensors  the checkpoint's, by name
 * @param config   where its networks are
 */
export function listLayers(
  tensors: ReadonlyMap<string, TensorInfo>,
  config: Pick<ModelConfig, 'unet' | 'textEncoders'>,
): ModelLayers {
  const networks: { prefix: string; role: NetworkLayers['role']; layers: Map<string, Layer> }[] = [
    { prefix: config.unet.prefix, role: 'unet', layers: new Map() },
    ...config.textEncoders.map(({ prefix, role }) => ({ prefix, role, layers: new Map() })),
  ];
  for (const info of tensors.values()) {
    const network = networks.find(({ prefix }) => info.name.startsWith(prefix));
    if (!network) continue;
    for (const layer of layersOf(info, network.prefix, tensors))
      network.layers.set(layer.name, layer);
  }
  return networks;
}

function layersOf(
  info: TensorInfo,
  prefix: string,
  tensors: ReadonlyMap<string, TensorInfo>,
): Layer[] {
  const name = info.name.slice(prefix.length);
  const fused = IN_PROJ.exec(name);
  const [out = 0, inner = 1, ...kernel] = info.shape;
  const weight = info.name;
  if (fused) {
    const width = out / 3;
    const bias = `${prefix}${fused[1]}.in_proj_bias`;
    return FUSED.map((part, i) => ({
      ...{ name: `${fused[1]}.${part}`, out: width, in: inner, kernel: [], weight },
      ...{ isNorm: false, hasPort: true, rows: [i * width, (i + 1) * width] },
      bias: tensors.has(bias) ? bias : null,
    }));
  }
  const match = /^(.*)\.weight$/.exec(name);
  if (!match || TABLES.test(match[1] as string)) return [];
  const isNorm = info.shape.length === 1;
  if (!isNorm && info.shape.length !== 2 && info.shape.length !== 4) return [];
  const layer = match[1] as string;
  const bias = `${prefix}${layer}.bias`;
  return [
    {
      ...{ name: layer, out, in: inner, kernel, weight, isNorm, rows: null },
      // transformers' towers may come with a projection, which runs after the last layer, alone.
      hasPort: !isNorm && layer !== 'text_projection',
      bias: tensors.has(bias) ? bias : null,
    },
  ];
}
