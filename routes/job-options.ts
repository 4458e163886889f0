/** A1111's options as the engine takes them: camelCase, the request's own numbers applied. */
import type { Options } from '../openapi/schemas/options.ts';
import type { JobOptions, OutputFormat } from '../pipelines/job.ts';

/** Sampler numbers that a request may carry beside the options. */
export interface RequestNumbers {
  s_min_uncond: number | null;
  s_churn: number | null;
  s_tmin: number | null;
  s_tmax: number | null;
  s_noise: number | null;
}

/** The four whose option wins over the request when it is not at its default, as in A1111. */
const DEFAULTS = { s_churn: 0, s_tmin: 0, s_tmax: 0, s_noise: 1 } as const;

/**
 * Translates the options for one job.
 *
 * @param options  with the job's overrides
 * @param request  null members take the option
 */
export function toJobOptions(options: Options, request: RequestNumbers): JobOptions {
  const pick = (key: keyof typeof DEFAULTS) =>
    options[key] === DEFAULTS[key] ? (request[key] ?? options[key]) : options[key];
  return {
    noiseSource: options.randn_source === 'CPU' ? 'CPU' : 'NV',
    noiseName: options.randn_source,
    clipSkip: options.CLIP_stop_at_last_layers,
    sdxlClipLSkip: options.sdxl_clip_l_skip,
    emphasis: options.emphasis,
    commaPaddingBacktrack: options.comma_padding_backtrack,
    etaNoiseSeedDelta: options.eta_noise_seed_delta,
    etaAncestral: options.eta_ancestral,
    etaDdim: options.eta_ddim,
    sChurn: pick('s_churn'),
    sTmin: pick('s_tmin'),
    sTmax: pick('s_tmax'),
    sNoise: pick('s_noise'),
    sMinUncond: request.s_min_uncond ?? options.s_min_uncond,
    sMinUncondAll: options.s_min_uncond_all,
    skipEarlyCond: options.skip_early_cond,
    cfgRescale: options.cfg_rescale,
    sigmaMin: options.sigma_min,
    sigmaMax: options.sigma_max,
    rho: options.rho,
    useOldKarrasSigmas: options.use_old_karras_scheduler_sigmas,
    betaAlpha: options.beta_dist_alpha,
    betaBeta: options.beta_dist_beta,
    noiseSchedule: options.sd_noise_schedule,
    downcastsAlphas: options.use_downcasted_alpha_bar,
    quantizesTimesteps: options.enable_quantization,
    uniPc: {
      variant: options.uni_pc_variant,
      skipType: options.uni_pc_skip_type,
      order: options.uni_pc_order,
      lowerOrderFinal: options.uni_pc_lower_order_final,
    },
    useOldScheduling: options.use_old_scheduling,
    alwaysDiscardNextToLastSigma: options.always_discard_next_to_last_sigma,
    sgmNoiseMultiplier: options.sgm_noise_multiplier,
    keepsConditioning: options.persistent_cond_cache,
    padCondUncond: options.pad_cond_uncond,
    padCondUncondV0: options.pad_cond_uncond_v0,
    batchCondUncond: options.batch_cond_uncond,
    tokenMergingRatio: options.token_merging_ratio,
    tokenMergingRatioHr: options.token_merging_ratio_hr || options.token_merging_ratio,
    hyperTile: {
      unet: {
        isEnabled: options.hypertile_enable_unet,
        inSecondPass: options.hypertile_enable_unet_secondpass,
        maxDepth: options.hypertile_max_depth_unet,
        maxTile: options.hypertile_max_tile_unet,
        swapSize: options.hypertile_swap_size_unet,
      },
      vae: {
        isEnabled: options.hypertile_enable_vae,
        maxDepth: options.hypertile_max_depth_vae,
        maxTile: options.hypertile_max_tile_vae,
        swapSize: options.hypertile_swap_size_vae,
      },
    },
    sdxlCropTop: options.sdxl_crop_top,
    sdxlCropLeft: options.sdxl_crop_left,
    sdxlRefinerLowAestheticScore: options.sdxl_refiner_low_aesthetic_score,
    sdxlRefinerHighAestheticScore: options.sdxl_refiner_high_aesthetic_score,
    previewEverySteps: options.live_previews_enable
      ? Math.max(options.show_progress_every_n_steps, 0)
      : 0,
    previewContent: options.live_preview_content,
    addModelName: options.add_model_name_to_info,
    addModelHash: options.add_model_hash_to_info,
    addVaeName: options.add_vae_name_to_info,
    addVaeHash: options.add_vae_hash_to_info,
    addLoraHashes: options.lora_add_hashes_to_infotext,
    addEmbeddingHashes: options.textual_inversion_add_hashes_to_infotext,
    addBundledEmbeddings: options.lora_bundled_ti_to_infotext,
    addVersion: options.add_version_to_infotext,
  };
}

/** How the pictures of a job are encoded. */
export function toOutputFormat(options: Options): OutputFormat {
  const { samples_format: format, jpeg_quality: quality } = options;
  return {
    format: format === 'jpg' ? 'jpeg' : format,
    quality,
    writeInfotext: options.enable_pnginfo,
  };
}
