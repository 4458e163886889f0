import type { UnetConfig } from './config.ts';
import type { ExpectedTensors } from './shapes.ts';

/** The time embedding is four times as wide as the first convolution. */
const TIME_EMBEDDING_FACTOR = 4;
/** The feed-forward is four times as wide as its layer; GEGLU needs twice that for its gate. */
const FEED_FORWARD_FACTOR = 4;

/**
 * Lists every tensor of a UNet with its shape, in running order.
 *
 * @returns name (with the prefix) → shape, as `openaimodel.UNetModel` registers them
 */
export function expectedUnetTensors(config: UnetConfig): ExpectedTensors {
  const { prefix, modelChannels, channelMult, resBlocks, admChannels } = config;
  const list = new TensorList(prefix, config);
  const time = modelChannels * TIME_EMBEDDING_FACTOR;
  list.weightAndBias('time_embed.0', [time, modelChannels]);
  list.weightAndBias('time_embed.2', [time, time]);
  if (admChannels > 0) {
    list.weightAndBias('label_emb.0.0', [time, admChannels]);
    list.weightAndBias('label_emb.0.2', [time, time]);
  }

  list.weightAndBias('input_blocks.0.0', [modelChannels, config.inChannels, 3, 3]);
  const skips = [modelChannels];
  let channels = modelChannels;
  let n = 1;
  for (const [level, mult] of channelMult.entries()) {
    for (let block = 0; block < (resBlocks[level] ?? 0); block++, n++) {
      list.resBlock(`input_blocks.${n}.0`, channels, mult * modelChannels);
      channels = mult * modelChannels;
      list.transformer(`input_blocks.${n}.1`, channels, config.inputDepths[level]?.[block] ?? 0);
      skips.push(channels);
    }
    if (level < channelMult.length - 1) {
      list.weightAndBias(`input_blocks.${n++}.0.op`, [channels, channels, 3, 3]);
      skips.push(channels);
    }
  }

  if (config.middleResBlocks > 0) list.resBlock('middle_block.0', channels, channels);
  list.transformer('middle_block.1', channels, config.middleDepth);
  if (config.middleResBlocks > 1) {
    // Without attention the two residual blocks would be numbered 0 and 1.
    const last = config.middleDepth > 0 ? 2 : 1;
    list.resBlock(`middle_block.${last}`, channels, channels);
  }

  n = 0;
  for (let level = channelMult.length - 1; level >= 0; level--) {
    const width = (channelMult[level] ?? 0) * modelChannels;
    const count = (resBlocks[level] ?? 0) + 1;
    for (let block = 0; block < count; block++, n++) {
      list.resBlock(`output_blocks.${n}.0`, channels + (skips.pop() ?? 0), width);
      channels = width;
      const depth = config.outputDepths[level]?.[block] ?? 0;
      list.transformer(`output_blocks.${n}.1`, channels, depth);
      if (level > 0 && block === count - 1) {
        const part = depth > 0 ? 2 : 1;
        list.weightAndBias(`output_blocks.${n}.${part}.conv`, [channels, channels, 3, 3]);
      }
    }
  }
  list.weightAndBias('out.0', [channels]);
  list.weightAndBias('out.2', [config.outChannels, channels, 3, 3]);
  return list.tensors;
}

/** Collects names and shapes of the parts a UNet is made of. */
class TensorList {
  readonly tensors: ExpectedTensors = new Map();
  readonly #prefix: string;
  readonly #config: UnetConfig;

  constructor(prefix: string, config: UnetConfig) {
    this.#prefix = prefix;
    this.#config = config;
  }

  weight(name: string, shape: number[]): void {
    this.tensors.set(`${this.#prefix}${name}.weight`, shape);
  }

  weightAndBias(name: string, shape: number[]): void {
    this.weight(name, shape);
    this.tensors.set(`${this.#prefix}${name}.bias`, [shape[0] ?? 0]);
  }

  resBlock(name: string, from: number, to: number): void {
    const time = this.#config.modelChannels * TIME_EMBEDDING_FACTOR;
    this.weightAndBias(`${name}.in_layers.0`, [from]);
    this.weightAndBias(`${name}.in_layers.2`, [to, from, 3, 3]);
    this.weightAndBias(`${name}.emb_layers.1`, [to, time]);
    this.weightAndBias(`${name}.out_layers.0`, [to]);
    this.weightAndBias(`${name}.out_layers.3`, [to, to, 3, 3]);
    if (from !== to) this.weightAndBias(`${name}.skip_connection`, [to, from, 1, 1]);
  }

  transformer(name: string, channels: number, depth: number): void {
    if (depth === 0) return;
    const { contextDim } = this.#config;
    this.weightAndBias(`${name}.norm`, [channels]);
    this.weightAndBias(`${name}.proj_in`, [channels, channels]);
    for (let d = 0; d < depth; d++) {
      const block = `${name}.transformer_blocks.${d}`;
      for (const norm of ['norm1', 'norm2', 'norm3']) {
        this.weightAndBias(`${block}.${norm}`, [channels]);
      }
      this.#attention(`${block}.attn1`, channels, channels);
      this.#attention(`${block}.attn2`, channels, contextDim);
      const inner = channels * FEED_FORWARD_FACTOR;
      this.weightAndBias(`${block}.ff.net.0.proj`, [2 * inner, channels]);
      this.weightAndBias(`${block}.ff.net.2`, [channels, inner]);
    }
    this.weightAndBias(`${name}.proj_out`, [channels, channels]);
  }

  #attention(name: string, channels: number, contextDim: number): void {
    this.weight(`${name}.to_q`, [channels, channels]);
    this.weight(`${name}.to_k`, [channels, contextDim]);
    this.weight(`${name}.to_v`, [channels, contextDim]);
    this.weightAndBias(`${name}.to_out.0`, [channels, channels]);
  }
}
