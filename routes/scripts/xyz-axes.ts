/** The axes of X/Y/Z plot, in A1111's order for each tab: clients name them by index. */
import { LATENT_UPSCALE_MODES } from '../../pipelines/hires/latent-modes.ts';
import {
  findSampler,
  findScheduler,
  SAMPLERS,
  SCHEDULERS,
} from '../../pipelines/samplers/catalogue.ts';
import { badArgument, type ScriptTab } from './script.ts';
import {
  type Axis,
  axis,
  booleanAxis,
  choiceAxis,
  integerAxis,
  missing,
  numberAxis,
  optionAxis,
  optionChoiceAxis,
  override,
  rangeAxis,
  seedAxis,
} from './xyz-axis-kinds.ts';
import { permutations, readNumbers } from './xyz-values.ts';

/** Parts of Prompt order: 5 have 120 orders. */
const MAX_ORDERED = 5;

const nothing = axis({
  label: 'Nothing',
  read: () => [0],
  apply: () => ({}),
  caption: () => '',
});

const COMMON = {
  seed: seedAxis('Seed', (seed) => ({ seed })),
  subseed: seedAxis('Var. seed', (subseed) => ({ subseed })),
  subseedStrength: numberAxis('Var. strength', (subseed_strength) => ({ subseed_strength })),
  steps: integerAxis('Steps', (steps) => ({ steps })),
  cfgScale: numberAxis('CFG Scale', (cfg_scale) => ({ cfg_scale })),
  promptSearch: axis<string>({
    label: 'Prompt S/R',
    read: (texts) => [...texts],
    apply: ({ prompt, negative_prompt }, value, [search = '']) => {
      const both = [prompt ?? '', negative_prompt ?? ''];
      if (search === '' || !both.some((text) => text.includes(search))) {
        throw badArgument(`Prompt S/R did not find ${search} in prompt or negative prompt.`);
      }
      const [positive, negative] = both.map((text) => text.replaceAll(search, () => value));
      return { prompt: positive, negative_prompt: negative };
    },
    caption: (value) => value,
  }),
  promptOrder: axis<string[]>({
    label: 'Prompt order',
    read(texts) {
      if (texts.length > MAX_ORDERED) {
        throw badArgument(`Expected at most ${MAX_ORDERED} values for the axis Prompt order.`);
      }
      return permutations(texts);
    },
    apply: ({ prompt }, order) => ({ prompt: reorder(prompt ?? '', order) }),
    caption: (order) => order.join(', '),
  }),
  sampler: choiceAxis(
    'Sampler',
    () => SAMPLERS.map(({ name }) => name),
    (name) => findSampler(name) !== null,
    (sampler_name) => ({ sampler_name }),
  ),
  checkpoint: axis<string>({
    label: 'Checkpoint name',
    read: (texts, { knowsCheckpoint }) => {
      for (const name of texts) {
        if (!knowsCheckpoint(name)) throw badArgument(`Unknown checkpoint: ${name}`);
      }
      return [...texts];
    },
    apply: (request, sd_model_checkpoint) => override(request, { sd_model_checkpoint }),
    caption: (value) => value.replace(/^.*[\\/]/, ''),
    choices: ({ checkpoints }) => checkpoints,
    cost: 2,
  }),
  ngms: numberAxis('Negative Guidance minimum sigma', (s_min_uncond) => ({ s_min_uncond })),
  churn: numberAxis('Sigma Churn', (s_churn) => ({ s_churn })),
  tmin: numberAxis('Sigma min', (s_tmin) => ({ s_tmin })),
  tmax: numberAxis('Sigma max', (s_tmax) => ({ s_tmax })),
  noise: numberAxis('Sigma noise', (s_noise) => ({ s_noise })),
  scheduler: {
    ...choiceAxis(
      'Schedule type',
      () => SCHEDULERS.map(({ label }) => label),
      (name) => findScheduler(name) !== null,
      (scheduler) => ({ scheduler }),
    ),
    caption: (value: string) => `Schedule type: ${value}`,
  },
  sigmaMin: optionAxis('Schedule min sigma', 'sigma_min'),
  sigmaMax: optionAxis('Schedule max sigma', 'sigma_max'),
  rho: optionAxis('Schedule rho', 'rho'),
  betaAlpha: optionAxis('Beta schedule alpha', 'beta_dist_alpha'),
  betaBeta: optionAxis('Beta schedule beta', 'beta_dist_beta'),
  eta: numberAxis('Eta', (eta) => ({ eta })),
  clipSkip: axis<number>({
    label: 'Clip skip',
    read: (texts) => readNumbers(texts, 'Clip skip', true),
    apply: (request, value) => override(request, { CLIP_stop_at_last_layers: value }),
  }),
  denoising: numberAxis('Denoising', (denoising_strength) => ({ denoising_strength })),
  noiseMultiplier: optionAxis('Initial noise multiplier', 'initial_noise_multiplier'),
  extraNoise: optionAxis('Extra noise', 'img2img_extra_noise'),
  vae: axis<string>({
    label: 'VAE',
    read: (texts) => [...texts],
    apply: (request, sd_vae) => override(request, { sd_vae }),
    caption: (value) => value,
    choices: ({ vaes }) => ['Automatic', 'None', ...vaes],
    cost: 1,
  }),
  styles: axis<string>({
    label: 'Styles',
    read: (texts) => [...texts],
    apply: ({ styles }, value) => ({
      styles: [...(styles ?? []), ...value.split(',').map((name) => name.trim())],
    }),
    choices: (names) => names.styles,
  }),
  faces: choiceAxis(
    'Face restore',
    () => ['Codeformer', 'GFPGAN', 'None'],
    () => true,
    (value) => ({ restore_faces: value.toLowerCase() !== 'none' }),
  ),
  discard: booleanAxis('Always discard next-to-last sigma', 'always_discard_next_to_last_sigma'),
  sgm: booleanAxis('SGM noise multiplier', 'sgm_noise_multiplier'),
  refiner: axis<string>({
    label: 'Refiner checkpoint',
    read: (texts) => [...texts],
    apply: (_request, refiner_checkpoint) => ({ refiner_checkpoint }),
    choices: ({ checkpoints }) => ['None', ...checkpoints],
    cost: 2,
  }),
  refinerSwitch: numberAxis('Refiner switch at', (refiner_switch_at) => ({ refiner_switch_at })),
  rng: {
    ...optionChoiceAxis('RNG source', 'randn_source', ['GPU', 'CPU', 'NV']),
  },
  size: axis<string>({
    label: 'Size',
    read(texts) {
      const wrong = texts.find((text) => !/^\s*\d{1,5}\s*x\s*\d{1,5}\s*$/i.test(text));
      if (wrong === undefined) return [...texts];
      throw badArgument(
        `Expected sizes such as 512x768 for the axis Size but received "${wrong}".`,
      );
    },
    apply: (_request, value) => {
      const [width, height] = value.toLowerCase().split('x').map(Number);
      return { width, height };
    },
  }),
};

const HIRES = {
  steps: integerAxis('Hires steps', (hr_second_pass_steps) => ({ hr_second_pass_steps })),
  sampler: choiceAxis(
    'Hires sampler',
    () => SAMPLERS.map(({ name }) => name),
    (name) => findSampler(name) !== null,
    (hr_sampler_name) => ({ hr_sampler_name }),
  ),
  upscaler: axis<string>({
    label: 'Hires upscaler',
    read: (texts) => [...texts],
    apply: (_request, hr_upscaler) => ({ hr_upscaler }),
    choices: ({ upscalers }) => [...LATENT_UPSCALE_MODES.map(({ name }) => name), ...upscalers],
  }),
};

const uniPcOrder = optionAxis('UniPC Order', 'uni_pc_order');

const mergingRatio = optionAxis('Token merging ratio', 'token_merging_ratio');
const mergingRatioHr = optionAxis('Token merging ratio high-res', 'token_merging_ratio_hr');
const imageCfg = numberAxis('Image CFG Scale', (image_cfg_scale) => ({ image_cfg_scale }));

/** The last ones in both tabs. */
const HYPERTILE = [
  booleanAxis('[Hypertile] Unet First pass Enabled', 'hypertile_enable_unet'),
  booleanAxis('[Hypertile] Unet Second pass Enabled', 'hypertile_enable_unet_secondpass'),
  rangeAxis('[Hypertile] Unet Max Depth', 'hypertile_max_depth_unet', 3),
  rangeAxis('[Hypertile] Unet Max Tile Size', 'hypertile_max_tile_unet', 512),
  rangeAxis('[Hypertile] Unet Swap Size', 'hypertile_swap_size_unet', 64),
  booleanAxis('[Hypertile] VAE Enabled', 'hypertile_enable_vae'),
  rangeAxis('[Hypertile] VAE Max Depth', 'hypertile_max_depth_vae', 3),
  rangeAxis('[Hypertile] VAE Max Tile Size', 'hypertile_max_tile_vae', 512),
  rangeAxis('[Hypertile] VAE Swap Size', 'hypertile_swap_size_vae', 64),
];

/** An axis that has nothing to switch here. */
const fp8 = missing('FP8 mode');

const C = COMMON;
const AXES: Readonly<Record<ScriptTab, readonly Axis[]>> = {
  txt2img: [
    ...[nothing, C.seed, C.subseed, C.subseedStrength, C.steps, HIRES.steps, C.cfgScale],
    ...[C.promptSearch, C.promptOrder, C.sampler, HIRES.sampler, C.checkpoint, C.ngms],
    ...[C.churn, C.tmin, C.tmax, C.noise, C.scheduler, C.sigmaMin, C.sigmaMax, C.rho],
    ...[C.betaAlpha, C.betaBeta, C.eta, C.clipSkip, C.denoising, C.noiseMultiplier],
    ...[C.extraNoise, HIRES.upscaler, C.vae, C.styles, uniPcOrder, C.faces, mergingRatio],
    ...[mergingRatioHr, C.discard, C.sgm, C.refiner, C.refinerSwitch, C.rng, fp8, C.size],
    ...HYPERTILE,
  ],
  img2img: [
    ...[nothing, C.seed, C.subseed, C.subseedStrength, C.steps, C.cfgScale],
    ...[imageCfg, C.promptSearch, C.promptOrder, C.sampler, C.checkpoint],
    ...[C.ngms, C.churn, C.tmin, C.tmax, C.noise, C.scheduler, C.sigmaMin, C.sigmaMax, C.rho],
    ...[C.betaAlpha, C.betaBeta, C.eta, C.clipSkip, C.denoising, C.noiseMultiplier],
    ...[C.extraNoise, optionAxis('Cond. Image Mask Weight', 'inpainting_mask_weight'), C.vae],
    ...[C.styles, uniPcOrder, C.faces, mergingRatio, mergingRatioHr, C.discard, C.sgm],
    ...[C.refiner, C.refinerSwitch, C.rng, fp8, C.size, ...HYPERTILE],
  ],
};

/** Lists the axes of a tab. */
export function listAxes(tab: ScriptTab): readonly Axis[] {
  return AXES[tab];
}

/** Puts the tokens of an order where they stand in a prompt, first come first served. */
function reorder(prompt: string, order: readonly string[]): string {
  const places = order
    .map((token) => ({ token, at: prompt.indexOf(token) }))
    .filter(({ token, at }) => token !== '' && at >= 0)
    .sort((a, b) => a.at - b.at);
  let text = '';
  let from = 0;
  const present = order.filter((token) => places.some((place) => place.token === token));
  places.forEach(({ token, at }, i) => {
    if (at < from) return;
    text += prompt.slice(from, at) + present[i];
    from = at + token.length;
  });
  return text + prompt.slice(from);
}
