/** Where random numbers come from: Philox as an NVIDIA GPU makes them, or PyTorch's CPU generator. */
export type NoiseSource = 'NV' | 'CPU';

/** How HyperTile cuts a picture. */
export interface TileOptions {
  /** Largest side of a tile, pixels. */
  maxTile: number;
  /** Sizes of tiles to choose from at random. */
  swapSize: number;
}

/** Attention within tiles of the picture (tfernd 2023). */
export interface HyperTileOptions {
  unet: TileOptions & {
    isEnabled: boolean;
    /** Whether it is on in the second pass of a hires fix even where it is off in the first. */
    inSecondPass: boolean;
    /** Deepest layers that it takes, 0 … 3. */
    maxDepth: number;
  };
  vae: TileOptions & {
    isEnabled: boolean;
    /** As in infotexts; the one layer of the decoder has depth 0. */
    maxDepth: number;
  };
}

/** What the web UI's options decide for one job. All plain numbers and names, defaults filled. */
export interface JobOptions {
  noiseSource: NoiseSource;
  /** What the option calls it, for infotexts: `GPU` is the same as `NV` here. */
  noiseName: 'GPU' | NoiseSource;
  /** 1 = last layer; k > 1 skips k - 1 layers (SD 1.x; on SDXL only with `sdxlClipLSkip`). */
  clipSkip: number;
  sdxlClipLSkip: boolean;
  emphasis: 'Original' | 'No norm' | 'Ignore' | 'None';
  /** Tokens to look back for a comma when a 75-token chunk is full; 0 switches it off. */
  commaPaddingBacktrack: number;
  /** Added to the seed for every draw after the first; 0 = off. */
  etaNoiseSeedDelta: number;
  etaAncestral: number;
  etaDdim: number;
  sChurn: number;
  sTmin: number;
  sTmax: number;
  sNoise: number;
  sMinUncond: number;
  /** Whether `sMinUncond` holds for every model call and not for every second one. */
  sMinUncondAll: boolean;
  /** Share of the model calls, 0 … 1, that go without the negative prompt at the start. */
  skipEarlyCond: number;
  /** Share of CFG rescale, 0 … 1 (Lin et al. 2024, section 3.4); 0 = off. */
  cfgRescale: number;
  /** Schedule overrides; 0 = the model's or scheduler's own. */
  sigmaMin: number;
  sigmaMax: number;
  rho: number;
  /** Schedules between 0.1 and 10 instead of the model's own ends. */
  useOldKarrasSigmas: boolean;
  /** Shape of the Beta scheduler. */
  betaAlpha: number;
  betaBeta: number;
  /** What the noise levels of the model are made from. */
  noiseSchedule: 'Default' | 'Zero Terminal SNR';
  /** Whether products of alpha are rounded to half precision first. */
  downcastsAlphas: boolean;
  /** Whether the network is told the nearest whole timestep. */
  quantizesTimesteps: boolean;
  uniPc: {
    variant: 'bh1' | 'bh2' | 'vary_coeff';
    skipType: 'time_uniform' | 'time_quadratic' | 'logSNR';
    order: number;
    lowerOrderFinal: boolean;
  };
  /** The web UI's older reading of `[from:to:when]`. */
  useOldScheduling: boolean;
  alwaysDiscardNextToLastSigma: boolean;
  sgmNoiseMultiplier: boolean;
  /** Whether encoded prompts are kept for later jobs; pictures do not depend on it. */
  keepsConditioning: boolean;
  padCondUncond: boolean;
  /** Bring uncond to the length of cond by its last vector, or cut it. */
  padCondUncondV0: boolean;
  batchCondUncond: boolean;
  /** Share of the tokens that self-attention merges, 0 … 0.9; 0 = off. */
  tokenMergingRatio: number;
  /** The same in the second pass of a hires fix. */
  tokenMergingRatioHr: number;
  hyperTile: HyperTileOptions;
  sdxlCropTop: number;
  sdxlCropLeft: number;
  sdxlRefinerLowAestheticScore: number;
  sdxlRefinerHighAestheticScore: number;
  /** Send a preview every n steps; 0 = never. */
  previewEverySteps: number;
  /** What previews show: what the prompt alone makes of it, the guided result, or the negative prompt. */
  previewContent: 'Prompt' | 'Combined' | 'Negative prompt';
  /** Keys of the infotext that the options switch off. */
  addModelName: boolean;
  addModelHash: boolean;
  addVaeName: boolean;
  addVaeHash: boolean;
  addVersion: boolean;
  addLoraHashes: boolean;
  addEmbeddingHashes: boolean;
  /** Whether embeddings that LoRA files carry are among those hashes. */
  addBundledEmbeddings: boolean;
}
