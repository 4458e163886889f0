/** The request field `infotext`: parameters as they stand in pictures fill what the request leaves out. */
import { MAX_INFOTEXT_CHARS, parseInfotext } from '../images/infotext-parse.ts';
import { isDict } from '../openapi/schemas/coercion.ts';
import { type OptionKey, Options } from '../openapi/schemas/options.ts';
import type { Context } from '../server/context.ts';

type Parameters = ReadonlyMap<string, string>;

/** Fields that both kinds of generation take from the text, by the text's key. */
const SHARED_FIELDS: Readonly<Record<string, string>> = {
  Steps: 'steps',
  Sampler: 'sampler_name',
  'Schedule type': 'scheduler',
  Seed: 'seed',
  'Variation seed': 'subseed',
  'Variation seed strength': 'subseed_strength',
  // A1111 1.10.1 swaps these two; a picture that is drawn again needs them as they were written.
  'Seed resize from-1': 'seed_resize_from_w',
  'Seed resize from-2': 'seed_resize_from_h',
  Refiner: 'refiner_checkpoint',
  'Refiner switch at': 'refiner_switch_at',
};

const TXT2IMG_FIELDS: Readonly<Record<string, string>> = {
  'CFG scale': 'cfg_scale',
  'Size-1': 'width',
  'Size-2': 'height',
  'Batch size': 'batch_size',
  'Denoising strength': 'denoising_strength',
  'Hires upscale': 'hr_scale',
  'Hires CFG Scale': 'hr_cfg',
  'Hires steps': 'hr_second_pass_steps',
  'Hires upscaler': 'hr_upscaler',
  'Hires resize-1': 'hr_resize_x',
  'Hires resize-2': 'hr_resize_y',
  'Hires checkpoint': 'hr_checkpoint_name',
  'Hires sampler': 'hr_sampler_name',
  'Hires schedule type': 'hr_scheduler',
  'Hires prompt': 'hr_prompt',
  'Hires negative prompt': 'hr_negative_prompt',
};

/** Keys of which any one tells that there was a hires pass. */
const HIRES_KEYS = ['Hires upscale', 'Hires upscaler', 'Hires resize-1'];

/** Options that the text names; a value here is what holds when the text is silent. */
const OPTION_KEYS: Readonly<Record<string, readonly [key: OptionKey, silent?: string]>> = {
  'Clip skip': ['CLIP_stop_at_last_layers', '1'],
  RNG: ['randn_source', 'GPU'],
  ENSD: ['eta_noise_seed_delta'],
  Eta: ['eta_ancestral'],
  'Eta DDIM': ['eta_ddim'],
  'Sigma churn': ['s_churn'],
  'Sigma tmin': ['s_tmin'],
  'Sigma tmax': ['s_tmax'],
  'Sigma noise': ['s_noise'],
  'Schedule min sigma': ['sigma_min', '0'],
  'Schedule max sigma': ['sigma_max', '0'],
  'Schedule rho': ['rho', '0'],
  'Discard penultimate sigma': ['always_discard_next_to_last_sigma'],
  'SGM noise multiplier': ['sgm_noise_multiplier'],
  NGMS: ['s_min_uncond'],
  'NGMS all steps': ['s_min_uncond_all'],
  'Pad conds': ['pad_cond_uncond'],
  'Pad conds v0': ['pad_cond_uncond_v0'],
  Emphasis: ['emphasis', 'Original'],
  Tiling: ['tiling'],
  VAE: ['sd_vae'],
  'Noise Schedule': ['sd_noise_schedule'],
  'Downcast alphas_cumprod': ['use_downcasted_alpha_bar'],
  'Old prompt editing timelines': ['use_old_scheduling'],
  'Beta schedule alpha': ['beta_dist_alpha'],
  'Beta schedule beta': ['beta_dist_beta'],
  'Skip Early CFG': ['skip_early_cond'],
  'Token merging ratio': ['token_merging_ratio'],
  'Token merging ratio hr': ['token_merging_ratio_hr'],
  'Hypertile U-Net': ['hypertile_enable_unet'],
  'Hypertile U-Net second pass': ['hypertile_enable_unet_secondpass'],
  'Hypertile U-Net max depth': ['hypertile_max_depth_unet'],
  'Hypertile U-Net max tile size': ['hypertile_max_tile_unet'],
  'Hypertile U-Net swap size': ['hypertile_swap_size_unet'],
  'Hypertile VAE': ['hypertile_enable_vae'],
  'Hypertile VAE max depth': ['hypertile_max_depth_vae'],
  'Hypertile VAE max tile size': ['hypertile_max_tile_vae'],
  'Hypertile VAE swap size': ['hypertile_swap_size_vae'],
  'Noise multiplier': ['initial_noise_multiplier'],
  'Extra noise': ['img2img_extra_noise'],
  'Conditional mask weight': ['inpainting_mask_weight'],
};

/**
 * Returns a request's body with the fields of its `infotext` filled in. What the body says itself,
 * null included, is never replaced; options go to `override_settings` when they differ from those
 * that hold.
 *
 * @param body  as it came; returned as it is when it has no text in `infotext`
 * @param kind  img2img takes steps, sampler, schedule, seeds and refiner only, as in A1111
 */
export function applyInfotext(
  context: Pick<Context, 'options'>,
  body: unknown,
  kind: 'txt2img' | 'img2img',
): unknown {
  if (!isDict(body) || typeof body.infotext !== 'string') return body;
  const { infotext } = body;
  // A longer one is refused when the fields are read.
  if (infotext.trim() === '' || infotext.length > MAX_INFOTEXT_CHARS) return body;
  const { prompt, negativePrompt, parameters } = parseInfotext(infotext);
  const fields = readFields(parameters, SHARED_FIELDS);
  const own =
    kind === 'txt2img'
      ? {
          prompt,
          negative_prompt: negativePrompt,
          ...readFields(parameters, TXT2IMG_FIELDS),
          ...(hasHires(parameters) ? { enable_hr: true } : {}),
        }
      : {};
  const overrides = readOptions(parameters, context.options.all());
  const sent = isDict(body.override_settings) ? body.override_settings : {};
  const settings = { ...overrides, ...sent };
  return {
    ...fields,
    ...own,
    ...body,
    ...(Object.keys(settings).length > 0 ? { override_settings: settings } : {}),
  };
}

function readFields(
  parameters: Parameters,
  names: Readonly<Record<string, string>>,
): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [key, name] of Object.entries(names)) {
    const value = parameters.get(key);
    // `Use same sampler` and its like are words of the web UI's page for "none".
    if (value !== undefined && !value.startsWith('Use same ')) fields[name] = value;
  }
  return fields;
}

function hasHires(parameters: Parameters): boolean {
  return (
    parameters.has('Denoising strength') &&
    HIRES_KEYS.some((key) => parameters.has(key) && parameters.get(key) !== '0')
  );
}

/** The options that the text asks for, as far as they are not in force. */
function readOptions(parameters: Parameters, current: Options): Record<string, unknown> {
  const overrides: Record<string, unknown> = {};
  const compare = (key: OptionKey, value: string | undefined) => {
    if (value === undefined) return;
    const { success, data } = Options.shape[key].safeParse(value);
    if (!success || data !== current[key]) overrides[key] = value;
  };
  for (const [key, [option, silent]] of Object.entries(OPTION_KEYS)) {
    compare(option, parameters.get(key) ?? silent);
  }
  if (!current.disable_weights_auto_swap) {
    compare('sd_model_checkpoint', parameters.get('Model hash') ?? parameters.get('Model'));
  }
  return overrides;
}
