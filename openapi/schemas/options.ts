/**
 * The options of `GET` and `POST /sdapi/v1/options`: A1111's keys that clients use, with its
 * defaults. A data table; the ones that nothing reads are kept because clients write them back.
 */
import { z } from 'zod';
import { MAX_NAME_CHARS, MAX_SEED } from './bounds.ts';
import { bool, float, list, oneOf, text, whole } from './coercion.ts';

/** Entries of a list option. */
const MAX_ENTRIES = 1_000;
/** Tokens of a caption, as in the web UI. */
const MAX_CAPTION_TOKENS = 256;
const UNUSED = 'Kept for clients; nothing here reads it.';
const FIXED = 'Fixed when the server starts; a new value is ignored.';
const FOLLOWS = 'SHA-256 of the checkpoint in use; a new value is ignored.';
const REFUSED = 'Cannot be set over HTTP; a new value is ignored.';

const word = () => text(MAX_NAME_CHARS);
const names = () => list(word(), MAX_ENTRIES);

export const Options = z
  .object({
    // Models
    sd_model_checkpoint: word()
      .nullable()
      .default(null)
      .describe('The checkpoint in use: any id of `GET /sdapi/v1/sd-models`.'),
    sd_checkpoint_hash: word().default('').describe(FOLLOWS),
    sd_vae: word()
      .default('Automatic')
      .describe(
        'A name of `GET /sdapi/v1/sd-vae`; `Automatic` and `None` take the checkpoint’s own.',
      ),
    sd_vae_overrides_per_model_preferences: bool().default(true).describe(UNUSED),
    sd_unet: word().default('Automatic').describe(UNUSED),
    sd_checkpoints_limit: whole(1, 10).default(1).describe(UNUSED),
    sd_checkpoint_cache: whole(0, 10).default(0).describe(UNUSED),
    sd_vae_checkpoint_cache: whole(0, 10).default(0).describe(UNUSED),
    sd_checkpoints_keep_in_cpu: bool().default(true).describe(UNUSED),
    // Prompt and conditioning
    CLIP_stop_at_last_layers: whole(1, 12).default(1).describe('Clip skip: 1 is the last layer.'),
    sdxl_clip_l_skip: bool()
      .default(false)
      .describe('Whether clip skip also applies to the first text encoder of SDXL.'),
    emphasis: oneOf(['Original', 'No norm', 'Ignore', 'None'])
      .default('Original')
      .describe('How attention weights are applied.'),
    comma_padding_backtrack: whole(0, 74)
      .default(20)
      .describe('Tokens to look back for a comma when a chunk is full.'),
    pad_cond_uncond: bool()
      .default(false)
      .describe('Pad prompt and negative prompt to the same length.'),
    pad_cond_uncond_v0: bool()
      .default(false)
      .describe('Bring the negative prompt to the prompt’s length by its last vector, or cut it.'),
    batch_cond_uncond: bool()
      .default(true)
      .describe('Run prompt and negative prompt in one batch.'),
    persistent_cond_cache: bool()
      .default(true)
      .describe('Keep encoded prompts for later requests; the pictures are the same.'),
    enable_prompt_comments: bool()
      .default(true)
      .describe('Leave out what follows a # in prompts, to the end of its line.'),
    use_old_emphasis_implementation: bool().default(false).describe(UNUSED),
    use_old_scheduling: bool()
      .default(false)
      .describe('In `[from:to:when]` a number below 1 is a share of the steps, dot or not.'),
    sdxl_crop_top: whole(0, 4096).default(0).describe('Crop told to SDXL.'),
    sdxl_crop_left: whole(0, 4096).default(0).describe('Crop told to SDXL.'),
    sdxl_refiner_low_aesthetic_score: float(0, 10)
      .default(2.5)
      .describe('Aesthetic score of the negative prompt.'),
    sdxl_refiner_high_aesthetic_score: float(0, 10)
      .default(6)
      .describe('Aesthetic score of the prompt.'),
    // Noise and sampling
    randn_source: oneOf(['GPU', 'CPU', 'NV'])
      .default('GPU')
      .describe(
        'Noise generator; `GPU` is computed as `NV`, so pictures do not depend on the device.',
      ),
    eta_noise_seed_delta: whole(0, MAX_SEED)
      .default(0)
      .describe('Added to the seed of every draw after the first.'),
    enable_batch_seeds: bool().default(true).describe(UNUSED),
    eta_ddim: float(0, 1000).default(0).describe('eta of DDIM when a request sends none.'),
    eta_ancestral: float(0, 1000)
      .default(1)
      .describe('eta of ancestral samplers when a request sends none.'),
    s_churn: float(0, 1000)
      .default(0)
      .describe('A value other than the default wins over the request’s.'),
    s_tmin: float(0, 1000)
      .default(0)
      .describe('A value other than the default wins over the request’s.'),
    s_tmax: float(0, 1000)
      .default(0)
      .describe('A value other than the default wins over the request’s; 0 is no bound.'),
    s_noise: float(0, 1000)
      .default(1)
      .describe('A value other than the default wins over the request’s.'),
    s_min_uncond: float(0, 1000)
      .default(0)
      .describe('Used when a request sends no `s_min_uncond`.'),
    s_min_uncond_all: bool()
      .default(false)
      .describe('Whether `s_min_uncond` holds for every model call and not every second one.'),
    skip_early_cond: float(0, 1)
      .default(0)
      .describe('Share of the model calls that go without negative prompt at the start.'),
    cfg_rescale: float(0, 1)
      .default(0)
      .describe(
        'CFG rescale of the model’s prediction (Lin et al. 2024), for v-prediction models. Not an option of A1111.',
      ),
    sigma_min: float(0, 1000)
      .default(0)
      .describe('Lower end of the schedule; 0 is the model’s own.'),
    sigma_max: float(0, 1000)
      .default(0)
      .describe('Upper end of the schedule; 0 is the model’s own.'),
    rho: float(0, 1000).default(0).describe('rho of the schedule; 0 is the scheduler’s own.'),
    always_discard_next_to_last_sigma: bool()
      .default(false)
      .describe('Drop the last but one sigma with every sampler.'),
    sgm_noise_multiplier: bool().default(false).describe('Scale the first noise as sgm does.'),
    uni_pc_variant: oneOf(['bh1', 'bh2', 'vary_coeff'])
      .default('bh1')
      .describe('Weights of UniPC.'),
    uni_pc_skip_type: oneOf(['time_uniform', 'time_quadratic', 'logSNR'])
      .default('time_uniform')
      .describe('How UniPC spaces its times.'),
    uni_pc_order: whole(1, 50).default(3).describe('Order of UniPC; at most the steps.'),
    uni_pc_lower_order_final: bool()
      .default(true)
      .describe('Whether UniPC lowers its order in the last steps.'),
    sd_noise_schedule: oneOf(['Default', 'Zero Terminal SNR'])
      .default('Default')
      .describe('Noise levels of the model; the second ends in pure noise.'),
    beta_dist_alpha: float(0.01, 5).default(0.6).describe('alpha of the Beta scheduler.'),
    beta_dist_beta: float(0.01, 5).default(0.6).describe('beta of the Beta scheduler.'),
    enable_quantization: bool()
      .default(false)
      .describe('Tell the model whole timesteps only, as its training did.'),
    use_old_karras_scheduler_sigmas: bool()
      .default(false)
      .describe('Schedules between 0.1 and 10, as before Karras’ was corrected.'),
    use_downcasted_alpha_bar: bool()
      .default(false)
      .describe('Round the model’s noise levels to half precision first, as old versions did.'),
    refiner_switch_by_sample_steps: bool()
      .default(false)
      .describe('`refiner_switch_at` is a share of the model calls and not of the noise levels.'),
    no_dpmpp_sde_batch_determinism: bool().default(false).describe(UNUSED),
    hide_samplers: names().default([]).describe(UNUSED),
    // Pictures and files
    tiling: bool().default(false).describe('Used when a request sends no `tiling`.'),
    samples_save: bool().default(true).describe('false keeps `save_images` from saving pictures.'),
    samples_format: oneOf(['png', 'jpg', 'jpeg', 'webp'])
      .default('png')
      .describe('Format of answered and saved pictures.'),
    samples_filename_pattern: word()
      .default('')
      .describe(
        'Name after the number; empty is `[seed]`. Tokens: [seed] [steps] [cfg] [width] [height] [sampler] [scheduler] [date] [model_name] [model_hash] [batch_number].',
      ),
    directories_filename_pattern: word()
      .default('[date]')
      .describe('Folder below the output folder; the same tokens.'),
    save_images_before_highres_fix: bool()
      .default(false)
      .describe('Whether `save_images` also saves the pictures of a hires fix’s first pass.'),
    save_to_dirs: bool()
      .default(true)
      .describe('Whether pictures are saved into folders made from the pattern.'),
    grid_save_to_dirs: bool()
      .default(true)
      .describe('Whether grids are saved into folders made from the pattern.'),
    save_images_add_number: bool().default(true).describe(UNUSED),
    grid_save: bool().default(true).describe('false keeps `save_images` from saving grids.'),
    grid_only_if_multiple: bool().default(true).describe('No grid for a single picture.'),
    return_grid: bool().default(true).describe('Whether a grid is answered with saved pictures.'),
    grid_format: word().default('png').describe(UNUSED),
    grid_background_color: word().default('#ffffff').describe(UNUSED),
    n_rows: whole(-1, 16).default(-1).describe(UNUSED),
    jpeg_quality: whole(1, 100).default(80).describe('Quality of JPEG and WebP.'),
    webp_lossless: bool().default(false).describe(UNUSED),
    export_for_4chan: bool().default(true).describe(UNUSED),
    img_downscale_threshold: float(0, 1000).default(4).describe(UNUSED),
    target_side_length: float(0, 100000).default(4000).describe(UNUSED),
    img_max_size_mp: float(0, 100000).default(200).describe(UNUSED),
    enable_pnginfo: bool().default(true).describe('Write the parameters into the files.'),
    save_txt: bool().default(false).describe(UNUSED),
    outdir_samples: word().default('').describe(FIXED),
    outdir_grids: word().default('').describe(FIXED),
    outdir_txt2img_samples: word().default('').describe(FIXED),
    outdir_img2img_samples: word().default('').describe(FIXED),
    outdir_extras_samples: word().default('').describe(FIXED),
    outdir_txt2img_grids: word().default('').describe(FIXED),
    outdir_img2img_grids: word().default('').describe(FIXED),
    outdir_save: word().default('').describe(FIXED),
    // Parameters in pictures
    add_model_name_to_info: bool().default(true).describe('Write the name of the checkpoint.'),
    add_model_hash_to_info: bool().default(true).describe('Write the hash of the checkpoint.'),
    add_vae_name_to_info: bool().default(true).describe('Write the name of the VAE.'),
    add_vae_hash_to_info: bool().default(true).describe('Write the hash of the VAE.'),
    add_version_to_infotext: bool().default(true).describe('Write the version of the server.'),
    add_user_name_to_info: bool().default(false).describe(UNUSED),
    infotext_styles: word().default('Apply if any').describe(UNUSED),
    infotext_skip_pasting: names().default([]).describe(UNUSED),
    disable_weights_auto_swap: bool().default(true).describe(UNUSED),
    auto_backcompat: bool().default(true).describe(UNUSED),
    // img2img, hires and faces
    img2img_color_correction: bool()
      .default(false)
      .describe('Give results of img2img the colours of their picture.'),
    img2img_fix_steps: bool()
      .default(false)
      .describe('Run `steps` in img2img whatever the strength.'),
    img2img_background_color: word()
      .default('#ffffff')
      .describe('What shows through transparent pixels of init images.'),
    img2img_extra_noise: float(0, 1).default(0).describe('More noise for img2img to start from.'),
    initial_noise_multiplier: float(0, 2)
      .default(1)
      .describe('Used when a request sends no `initial_noise_multiplier`.'),
    inpainting_mask_weight: float(0, 1)
      .default(1)
      .describe('How much of the masked area is kept from inpainting checkpoints.'),
    return_mask: bool().default(false).describe('Answer the mask after each picture.'),
    return_mask_composite: bool()
      .default(false)
      .describe('Answer the masked part alone after each picture.'),
    overlay_inpaint: bool()
      .default(true)
      .describe('Whether what is not masked is pasted over the result.'),
    upscaler_for_img2img: word()
      .nullable()
      .default(null)
      .describe('Upscaler for init images that have to grow; null is Lanczos.'),
    ESRGAN_tile: whole(0, 4096)
      .default(192)
      .describe('Side of the tiles that models of upscalers get; 0 is none.'),
    ESRGAN_tile_overlap: whole(0, 4096)
      .default(8)
      .describe('How far such tiles reach into each other.'),
    hires_fix_refiner_pass: oneOf(['first pass', 'second pass', 'both passes'])
      .default('second pass')
      .describe('Which pass of a hires fix the refiner takes part in.'),
    hires_fix_use_firstpass_conds: bool().default(false).describe(UNUSED),
    use_old_hires_fix_width_height: bool()
      .default(false)
      .describe('Width and height of a request with a hires fix are those of the result.'),
    face_restoration: bool()
      .default(false)
      .describe('Used when a request sends no `restore_faces`.'),
    face_restoration_model: word().default('CodeFormer').describe(UNUSED),
    code_former_weight: float(0, 1).default(0.5).describe(UNUSED),
    // Live previews
    live_previews_enable: bool().default(true).describe('Whether previews are made.'),
    show_progress_grid: bool().default(true).describe(UNUSED),
    show_progressbar: bool().default(true).describe(UNUSED),
    show_progress_every_n_steps: whole(-1, 150)
      .default(10)
      .describe('Steps between two previews; -1 makes none.'),
    show_progress_type: word().default('Approx NN').describe(UNUSED),
    live_preview_content: oneOf(['Prompt', 'Combined', 'Negative prompt'])
      .default('Prompt')
      .describe(
        'Whose picture previews show: the prompt’s alone, the guided one, the negative one.',
      ),
    live_previews_image_format: oneOf(['png', 'jpeg', 'webp'])
      .default('png')
      .describe('Format of previews for `/internal/progress`.'),
    live_preview_refresh_period: float(0, 1000000).default(1000).describe(UNUSED),
    // Precision and speed
    upcast_attn: bool().default(false).describe(UNUSED),
    token_merging_ratio: float(0, 0.9)
      .default(0)
      .describe('Share of the tokens that self-attention merges (token merging); 0 is none.'),
    token_merging_ratio_img2img: float(0, 0.9)
      .default(0)
      .describe('The same in img2img; 0 is as `token_merging_ratio`.'),
    token_merging_ratio_hr: float(0, 0.9)
      .default(0)
      .describe('The same in the second pass of a hires fix; 0 is as `token_merging_ratio`.'),
    hypertile_enable_unet: bool()
      .default(false)
      .describe('Self-attention of the UNet sees tiles of the picture (HyperTile), not all of it.'),
    hypertile_enable_unet_secondpass: bool()
      .default(false)
      .describe('The same in the second pass of a hires fix alone.'),
    hypertile_max_depth_unet: whole(0, 3)
      .default(3)
      .describe('Deepest layers that tiles are for; 0 is the outermost.'),
    hypertile_max_tile_unet: whole(0, 512)
      .default(256)
      .describe('Largest side of such a tile in pixels; at least 128 is used.'),
    hypertile_swap_size_unet: whole(0, 64)
      .default(3)
      .describe('How many sizes of tiles are drawn from; 1 always takes the smallest.'),
    hypertile_enable_vae: bool()
      .default(false)
      .describe('Attention of the VAE’s decoder sees tiles of the picture.'),
    hypertile_max_depth_vae: whole(0, 3)
      .default(3)
      .describe('Written into infotexts; the decoder has one layer of attention, of depth 0.'),
    hypertile_max_tile_vae: whole(0, 512).default(128).describe('As for the UNet.'),
    hypertile_swap_size_vae: whole(0, 64).default(3).describe('As for the UNet.'),
    fp8_storage: word().default('Disable').describe(UNUSED),
    cache_fp16_weight: bool().default(false).describe(UNUSED),
    cross_attention_optimization: word().default('Automatic').describe(UNUSED),
    sd_vae_encode_method: word().default('Full').describe(UNUSED),
    sd_vae_decode_method: word().default('Full').describe(UNUSED),
    auto_vae_precision: bool().default(true).describe(UNUSED),
    auto_vae_precision_bfloat16: bool().default(false).describe(UNUSED),
    // Extra networks
    sd_lora: word().default('None').describe(UNUSED),
    sd_hypernetwork: word().default('None').describe(UNUSED),
    extra_networks_default_multiplier: float(0, 2).default(1).describe(UNUSED),
    lora_preferred_name: word()
      .default('Alias from file')
      .describe('`Filename` or `Alias from file`: what the tags of inspections call a LoRA.'),
    lora_add_hashes_to_infotext: bool().default(true).describe('Print `Lora hashes`.'),
    lora_bundled_ti_to_infotext: bool()
      .default(true)
      .describe('Print embeddings that a LoRA carries among `TI hashes`, with its name.'),
    sdserve_missing_lora: oneOf(['comment', 'error'])
      .default('comment')
      .describe(
        'What a LoRA that does not exist does: `comment` draws without it and says so in `info.comments`, as the web UI; `error` answers 404.',
      ),
    lora_functional: bool().default(false).describe(UNUSED),
    lora_in_memory_limit: whole(0, 100).default(0).describe(UNUSED),
    textual_inversion_add_hashes_to_infotext: bool().default(true).describe('Print `TI hashes`.'),
    // API and front-ends
    api_enable_requests: bool().default(false).describe(REFUSED),
    api_forbid_local_requests: bool().default(true).describe(REFUSED),
    api_useragent: word().default('').describe(REFUSED),
    send_seed: bool().default(true).describe(UNUSED),
    send_size: bool().default(true).describe(UNUSED),
    interrupt_after_current: bool().default(true).describe(UNUSED),
    interrogate_clip_min_length: whole(1, MAX_CAPTION_TOKENS)
      .default(24)
      .describe('Tokens that a caption has at least, those of its prompt included.'),
    interrogate_clip_max_length: whole(1, MAX_CAPTION_TOKENS)
      .default(48)
      .describe('Tokens that a caption has at most.'),
    interrogate_deepbooru_score_threshold: float(0, 1).default(0.5).describe(UNUSED),
    quicksettings_list: names().default(['sd_model_checkpoint']).describe(UNUSED),
  })
  .describe('Every option with its value.');

export type Options = z.infer<typeof Options>;
export type OptionKey = keyof Options;

/** Options that clients read but cannot set: paths, and what the server may fetch. */
export const FIXED_OPTIONS: ReadonlySet<string> = new Set(
  Object.entries(Options.shape)
    .filter(([, { description = '' }]) => [FIXED, REFUSED, FOLLOWS].includes(description))
    .map(([key]) => key),
);

/** Options that are kept for clients and that nothing reads. */
export const UNREAD_OPTIONS: ReadonlySet<string> = new Set(
  Object.entries(Options.shape)
    .filter(([, { description = '' }]) => description === UNUSED)
    .map(([key]) => key),
);
