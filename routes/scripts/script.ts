/** What a selectable script is: a function over a request that may ask for pictures of others. */
import type { Raster } from '../../images/raster.ts';
import type { RgbImage } from '../../images/rgb-image.ts';
import type { CommonRequest } from '../../openapi/schemas/generation.ts';
import type { Img2ImgRequest } from '../../openapi/schemas/img2img.ts';
import type { Txt2ImgRequest } from '../../openapi/schemas/txt2img.ts';
import { HttpError } from '../../server/errors.ts';

export type ScriptTab = 'txt2img' | 'img2img';

/** One input as A1111's `script-info` tells it; its place in the list is that in `script_args`. */
export interface ScriptArgument {
  label: string;
  /** What is used when the request's list is too short. */
  value: unknown;
  minimum: number | null;
  maximum: number | null;
  step: number | null;
  choices: readonly string[] | null;
}

/** A finished picture with what the answer says about it. */
export interface ScriptPicture {
  image: RgbImage;
  infotext: string;
  prompt: string;
  negativePrompt: string;
  seed: number;
  subseed: number;
}

/** What one request came to. */
export interface MadePictures {
  pictures: ScriptPicture[];
  /** A1111's `info` object of this request. */
  info: Record<string, unknown>;
}

type HiresField =
  | 'hr_second_pass_steps'
  | 'hr_sampler_name'
  | 'hr_upscaler'
  | 'hr_scheduler'
  | 'hr_checkpoint_name';

type PictureField =
  | 'init_images'
  | 'image_cfg_scale'
  | 'resize_mode'
  | 'mask'
  | 'mask_blur'
  | 'mask_blur_x'
  | 'mask_blur_y'
  | 'mask_round'
  | 'latent_mask'
  | 'inpainting_fill'
  | 'inpaint_full_res'
  | 'inpainting_mask_invert';

/** A request of either tab; the hires fields exist in txt2img only, those of pictures in img2img. */
export type ScriptRequest = CommonRequest & { denoising_strength: number | null } & Partial<
    Pick<Txt2ImgRequest, HiresField>
  > &
  Partial<Pick<Img2ImgRequest, PictureField>>;

/** Names that arguments may choose from. */
export interface ScriptNames {
  checkpoints: readonly string[];
  vaes: readonly string[];
  styles: readonly string[];
  upscalers: readonly string[];
  /** Whether a text is one of the ids that A1111 accepts for a checkpoint. */
  knowsCheckpoint(id: string): boolean;
}

/** One call of a script. */
export interface ScriptCall<R extends ScriptRequest = ScriptRequest> {
  tab: ScriptTab;
  /** Both seeds are drawn, never negative; `script_name` is null. */
  request: R;
  /** The seed as it was sent, -1 for a random one. */
  askedSeed: number;
  args: readonly unknown[];
  names: ScriptNames;
  /**
   * Makes the pictures of several requests, one after the other. All are checked before the first
   * one runs. After an interruption the list is shorter.
   *
   * @param place  of the first request among all that the script will make, for the progress
   */
  make(
    requests: readonly R[],
    place?: { index: number; count: number },
  ): Promise<readonly MadePictures[]>;
  /** Enlarges the request's first init image with an upscaler; img2img only. */
  enlarge(upscaler: string, factor: number): Promise<Raster>;
  /**
   * Says what is in a picture, where there is a captioning model; null after an interruption.
   *
   * @param file   encoded; null for the request's first init image
   * @param place  of the request that the words are for
   */
  caption(file: Uint8Array | null, place: { index: number; count: number }): Promise<string | null>;
}

/** What a script answers with. */
export interface ScriptResult {
  /** In the order of the answer; empty when an interruption came before the first one. */
  pictures: readonly ScriptPicture[];
  /** How many of the first pictures are grids. */
  grids: number;
  /** `index_of_first_image` of `info`, which not every script of A1111 sets. */
  indexOfFirstImage: number;
}

export interface Script {
  /** As A1111 spells it; requests may use any case. */
  title: string;
  tabs: readonly ScriptTab[];
  args(tab: ScriptTab, names: ScriptNames): ScriptArgument[];
  /** @throws HttpError SCRIPT_ARGUMENT, and what `make` throws */
  run<R extends ScriptRequest>(call: ScriptCall<R>): Promise<ScriptResult>;
}

/** Makes the description of one input. */
export function argument(
  label: string,
  value: unknown,
  more: Partial<ScriptArgument> = {},
): ScriptArgument {
  return { label, value, minimum: null, maximum: null, step: null, choices: null, ...more };
}

/** Makes the refusal of a script's argument. */
export function badArgument(sentence: string): HttpError {
  return new HttpError('SCRIPT_ARGUMENT', sentence);
}
