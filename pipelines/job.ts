/**
 * Jobs and their results as plain data: what crosses the channel between the HTTP process and the
 * engine process. Types only, nothing here runs.
 */
import type { LoraRef } from '../lora/plan.ts';
import type { JobOptions } from './job-options.ts';

export type { LoraRef } from '../lora/plan.ts';
export type { JobOptions, NoiseSource } from './job-options.ts';

/** A weights file as a catalogue resolved it; the engine never looks names up. */
export interface ModelFile {
  /** Absolute path with symbolic links resolved. */
  path: string;
  /** Name without folder and extension, as the infotext prints it (`Model: name`). */
  name: string;
  /** First 10 hex digits of the file's SHA-256; null while it is not known yet. */
  hash: string | null;
}

/** A textual inversion embedding that the job's prompts may name. */
export interface EmbeddingRef {
  /** File name without extension. */
  name: string;
  /** Absolute path with symbolic links resolved. */
  path: string;
  /** 12 hex digits for the infotext's `TI hashes`; null while it is not known. */
  hash: string | null;
  /** Tokens that it takes; 0 when it cannot be used. */
  vectors: number;
  /** Width of its vectors: `single` for one text encoder, `clip_l` and `clip_g` for SDXL's two. */
  widths: Readonly<Partial<Record<'single' | 'clip_l' | 'clip_g', number>>>;
  /** Why it cannot be used, as far as the catalogue knows; null when it can. */
  fault: string | null;
}

/** How finished pictures are encoded. */
export interface OutputFormat {
  format: 'png' | 'jpeg' | 'webp';
  /** JPEG and WebP quality, 1-100. */
  quality: number;
  /** Whether the infotext is written into the file. */
  writeInfotext: boolean;
}

/** What every job that draws pictures says, every name resolved and every number checked by the HTTP side. */
export interface DrawJob {
  kind: 'txt2img' | 'img2img';
  checkpoint: ModelFile;
  /** A separate VAE file; null takes the checkpoint's own. */
  vae: ModelFile | null;
  /** Styles applied, comments removed; still with `<lora:…>` tags. */
  prompt: string;
  negativePrompt: string;
  /** The LoRAs that the prompt's tags name, as far as they exist. */
  loras: readonly LoraRef[];
  /** The embeddings that its prompts may name; most of them are not named. */
  embeddings: readonly EmbeddingRef[];
  /** Whether the tags take effect; they are removed from the text in any case. */
  appliesNetworks: boolean;
  /** Names of the styles that were applied, for `info`. */
  styles: string[];
  /** 0 … 2^32-1, already drawn when the request said -1. Image i of the job takes seed + i. */
  seed: number;
  subseed: number;
  /** 0 … 1; 0 = no variation. */
  subseedStrength: number;
  /** Pixels; 0 = off. */
  seedResizeFromW: number;
  seedResizeFromH: number;
  refiner: RefinerSwitch | null;
  /** Display name from `pipelines/samplers/catalogue`. */
  sampler: string;
  /** Scheduler label as asked for; `Automatic` lets the sampler choose. */
  scheduler: string;
  steps: number;
  /** Guidance; 1 = no uncond pass. */
  cfgScale: number;
  /** Pixels; any size within the limits, the latent is floor(side / 8). */
  width: number;
  height: number;
  batchSize: number;
  nIter: number;
  /** null = the sampler's own default. */
  eta: number | null;
  tiling: boolean;
  restoreFaces: boolean;
  /** Share of the schedule that runs, 0 … 1; in a plain txt2img it only shows in `info`. */
  denoisingStrength: number | null;
  /** Whether a grid is put before the pictures when there are two or more. */
  grid: boolean;
  output: OutputFormat;
  options: JobOptions;
  /** What the request asked for and this server could not do; copied into `info.comments`. */
  comments: string[];
}

/** The second pass of a hires fix. What it does not say is as in the first. */
export interface HiresPass {
  /** What the picture is enlarged to, pixels. */
  enlarged: { width: number; height: number };
  /** Latent cells that are cut off then, half of them on each side. */
  cut: { width: number; height: number };
  /** A name of `pipelines/hires/latent-modes`, or an upscaler of pictures. */
  upscaler: { latentMode: string } | UpscalerRef;
  tiles: UpscaleTiles;
  /** Steps that run whatever the strength. */
  steps: number;
  /** 0 … 1. */
  denoisingStrength: number;
  sampler: string;
  scheduler: string;
  cfgScale: number;
  prompt: string;
  negativePrompt: string;
  /** What its prompts name; the tags of the first pass's prompt do not count here. */
  loras: readonly LoraRef[];
  embeddings: readonly EmbeddingRef[];
  /** Another checkpoint for this pass, with its VAE; null keeps the first pass's. */
  model: { checkpoint: ModelFile; vae: ModelFile | null } | null;
  extraNoise: number;
  /** Whether the first pass's pictures are wanted, too, to be saved. */
  keepsFirst: boolean;
  /** How the request said it, for the infotext; null and 0 where it did not. */
  asked: {
    upscaler: string | null;
    steps: number;
    /** Times as large, or final sides. */
    size: number | { x: number; y: number };
  };
}

/** A checkpoint that takes over while a picture is sampled. */
export interface RefinerSwitch {
  checkpoint: ModelFile;
  /** 0 … 1, share of the way at which it does; 0 = from the first call. */
  switchAt: number;
  /** Whether the share is of the model calls and not of the noise levels. */
  bySteps: boolean;
  /** Which pass of a hires fix it takes part in. */
  pass: 'first pass' | 'second pass' | 'both passes';
}

/** Text to picture. */
export interface Txt2ImgJob extends DrawJob {
  kind: 'txt2img';
  hires: HiresPass | null;
}

/** How a mask is used; white is repainted. */
export interface MaskUse {
  /** A picture file; see `Img2ImgJob.initImages`. */
  image: Uint8Array;
  /** Another mask for the latent alone, neither inverted nor blurred; null = the same. */
  latentImage: Uint8Array | null;
  /** Whether black is repainted instead. */
  inverts: boolean;
  /** Whether transparency and the latent's mask are all or nothing. */
  rounds: boolean;
  /** Standard deviations of the blur in pixels; 0 = none. */
  blurX: number;
  blurY: number;
  /** What is under the mask when sampling starts. */
  fill: 'fill' | 'original' | 'latent noise' | 'latent nothing';
  /** Whether the masked area alone is drawn, at the job's size, and put back into the picture. */
  onlyMasked: boolean;
  /** Pixels around the masked area that are drawn with it. */
  padding: number;
  /** Whether what is not masked is pasted over the result. */
  overlays: boolean;
  /** Whether the mask, and the result cut out with it, follow each picture of the answer. */
  returnsMask: boolean;
  returnsComposite: boolean;
  /** Numbers of the script "soft inpainting"; null where it is off. */
  soft: SoftInpainting | null;
}

/** Soft inpainting: how latents are mixed, and how results are pasted where they differ. */
export interface SoftInpainting {
  scheduleBias: number;
  preservationStrength: number;
  transitionContrast: number;
  /** How much the mask counts beside the difference, 0 … 1. */
  maskInfluence: number;
  /** Distance of two latents at which the picture is half covered. */
  differenceThreshold: number;
  differenceContrast: number;
}

/** Pictures to pictures. */
export interface Img2ImgJob extends DrawJob {
  kind: 'img2img';
  denoisingStrength: number;
  /**
   * PNG, JPEG, WebP or GIF files as they came, which the engine decodes: they are smaller than
   * their pixels. One for all pictures of a batch, or one for each.
   */
  initImages: readonly Uint8Array[];
  /** 0 stretch, 1 cover, 2 fit and fill, 3 resize the latent. */
  resizeMode: 0 | 1 | 2 | 3;
  /** Enlarges pictures before they are resized: option upscaler_for_img2img; null = Lanczos alone. */
  upscaler: { ref: UpscalerRef; tiles: UpscaleTiles } | null;
  /** Whether `steps` run whatever the strength: option img2img_fix_steps. */
  exactSteps: boolean;
  /** Factor on the first noise. */
  noiseMultiplier: number;
  /** More noise on the first latent: option img2img_extra_noise. */
  extraNoise: number;
  /** What shows through transparent pixels; red, green, blue. */
  background: readonly [number, number, number];
  /** Whether the result takes on the colours of the picture. */
  correctsColors: boolean;
  /** Inpainting checkpoints: share of the mask in the picture that they see. */
  conditioningMaskWeight: number;
  /** Instruct checkpoints: how closely the picture is followed; null or 1 = no guidance by it. */
  imageCfgScale: number | null;
  mask: MaskUse | null;
}

/** An upscaler as the catalogue resolved it. */
export interface UpscalerRef {
  /** As infotexts print it. */
  name: string;
  kind: 'none' | 'lanczos' | 'nearest' | 'model';
  /** Absolute path of a model with symbolic links resolved; null for the other kinds. */
  path: string | null;
}

/** How models of upscalers are fed, pixels. */
export interface UpscaleTiles {
  /** Side of a tile; 0 = the whole picture at once. */
  size: number;
  overlap: number;
}

/** Pictures to larger pictures, without a checkpoint. */
export interface UpscaleJob {
  kind: 'upscale';
  /** Files as they were sent; their headers were checked. */
  pictures: readonly Uint8Array[];
  /** null leaves the pictures as they are. */
  first: UpscalerRef | null;
  /** Mixed in with this share, 0 … 1. */
  second: { upscaler: UpscalerRef; visibility: number } | null;
  /** Times as large, or a size to cover, cut to it or not. */
  target: { factor: number } | { width: number; height: number; crops: boolean };
  tiles: UpscaleTiles;
  /** What is written into the results, beside what they say already. */
  postprocessing: string;
  output: OutputFormat;
}

/** A picture to words, without a checkpoint. */
export interface CaptionJob {
  kind: 'caption';
  /** File as it was sent; its header was checked. */
  picture: Uint8Array;
  /** Absolute path of the captioning model with symbolic links resolved. */
  path: string;
  /** Absolute path of its word pieces. */
  vocabulary: string;
  /** Tokens of the text, the prompt included: it does not end before, and not after. */
  minTokens: number;
  maxTokens: number;
}

/** What draws pictures with a checkpoint. */
export type GenerationJob = Txt2ImgJob | Img2ImgJob;

export type Job = GenerationJob | UpscaleJob | CaptionJob;

/** A finished (or interrupted) job. */
export interface JobResult {
  /** Encoded pictures, the grid first when there is one. */
  images: Uint8Array[];
  /** One text per picture in `images`. */
  infotexts: string[];
  /** The members of A1111's `info` object, in its order, then ours. */
  info: Record<string, unknown>;
  /** Denoising steps that ran, over all iterations. */
  stepsExecuted: number;
  /** Encoded pictures of a hires fix's first pass, where the job keeps them. */
  beforeHires?: Uint8Array[];
  /** How many of the first pictures are grids; `info.index_of_first_image` where it is absent. */
  grids?: number;
}

/** Where a running job is; sent at the start of each iteration and after each step. */
export interface JobProgress {
  /** Text of the phase, e.g. `Batch 1 out of 2`. */
  job: string;
  /** Iterations finished and their total. */
  jobNo: number;
  jobCount: number;
  /** 0-based step within the iteration, and the steps that will run. */
  samplingStep: number;
  samplingSteps: number;
}

/** A cheap picture of the latent: one u8 RGB pixel per latent cell, rows top to bottom. */
export interface JobPreview {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** What a pipeline calls while it works; both sides of one running job. */
export interface JobHooks {
  onProgress(progress: JobProgress): void;
  onPreview(preview: JobPreview): void;
  /** One line for the log with its fields. */
  onLog(message: string, fields: Record<string, unknown>): void;
  /** Set from outside while the job runs; checked before every model call. */
  readonly control: { interrupted: boolean; skipped: boolean };
}

/** What the command line decides for the engine process, once and for all its jobs. */
export interface EngineSettings {
  device: 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml';
  /** Threads of one session's pool, 1 or more. */
  threads: number;
  /** `medvram` and `lowvram` keep only the network in use. */
  memoryMode: 'normal' | 'medvram' | 'lowvram';
}

/** Memory of the engine process in bytes. */
export interface EngineMemory {
  rss: number;
  arrayBuffers: number;
}

/** What the engine process drives: one job at a time, everything that holds memory behind it. */
export interface Runner {
  /** Runs one job to its end, or to the interruption that `hooks.control` asks for. */
  run(job: Job, hooks: JobHooks): Promise<JobResult>;
  /** Makes a checkpoint ready, so that a broken file is reported now and not by the next job. */
  load(checkpoint: ModelFile, vae: ModelFile | null): Promise<void>;
  /** Gives back every session; the next job loads again. */
  unload(): Promise<void>;
  memory(): EngineMemory;
}
