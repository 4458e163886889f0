/** What an upscaler is made of, as far as its graph depends on it. */

/** Names of an RRDBNet's layers, without prefix and `.weight`: each trainer has its own. */
export interface RrdbLayout {
  first: string;
  /** `{n}` block from 0, `{k}` dense block 1-3, `{c}` convolution 1-5. */
  dense: string;
  /** Where nESRGAN+ adds a 1x1 convolution to each dense block; `{n}` and `{k}` as above. */
  shortcut: string;
  trunk: string;
  /** Convolutions after which or before which the picture grows. */
  ups: readonly string[];
  high: string;
  last: string;
}

/** ESRGAN (Wang et al. 2018) and Real-ESRGAN (Wang et al. 2021). */
export interface RrdbConfig {
  architecture: 'rrdb';
  prefix: string;
  layout: RrdbLayout;
  /** Residual-in-residual dense blocks; 23 for x4plus, 6 for anime. */
  blocks: number;
  /** Channels between the blocks. */
  width: number;
  /** How each entry of `layout.ups` grows: by pixel shuffle after it, or by repetition before it. */
  upFactors: readonly { factor: number; isShuffled: boolean }[];
  hasShortcuts: boolean;
  /** Side of the squares of pixels that enter as channels; 1 for none. */
  unshuffle: number;
  /** Output pixels per input pixel and side. */
  scale: number;
}

/** SRVGGNetCompact (Real-ESRGAN's realesr-general and animevideo). */
export interface CompactConfig {
  architecture: 'compact';
  prefix: string;
  /** Index of the last convolution; even. */
  lastIndex: number;
  width: number;
  unshuffle: 1;
  scale: number;
}

export type UpscalerConfig = RrdbConfig | CompactConfig;

/** A name of `RrdbLayout` with its numbers put in. */
export function layerName(template: string, n: number, k: number, c = 0): string {
  return template.replace('{n}', `${n}`).replace('{k}', `${k}`).replace('{c}', `${c}`);
}
