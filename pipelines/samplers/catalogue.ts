/**
 * Names, aliases and properties of every sampler and scheduler: plain data, so that both processes
 * may read it. The web UI's come first and in its order; clients show lists as they come.
 */

/** What a sampler steps along: noise levels, or timesteps of the training schedule. */
export type SamplerFamily = 'sigma' | 'timestep';

/**
 * How often a sampler calls the model: once a step; twice, but once in a step to level 0; three
 * times, falling to one at the end; as often as steps were asked for whatever its steps are; as
 * often as its error estimate wants.
 */
export type CallPattern = 'once' | 'twice' | 'thrice' | 'exact' | 'adaptive';

/** Options of a request that reach a sampler; the others have no effect on it. */
export type SamplerOption = 'eta' | 'churn' | 'noise';

/** One sampler. */
export interface SamplerEntry {
  readonly name: string;
  readonly aliases: readonly string[];
  /** As the API gives them: all values are strings. */
  readonly options: Readonly<Record<string, string>>;
  readonly family: SamplerFamily;
  readonly calls: CallPattern;
  /** eta; s_churn, s_tmin, s_tmax and s_noise; s_noise alone. */
  readonly takes: readonly SamplerOption[];
  /** Share of fresh noise where neither request nor options say; 1, or 0 in the timestep family. */
  readonly defaultEta?: number;
  /** Factor on cfg_scale; the web UI's CFG++ maps 0 … 12.5 to 0 … 1. */
  readonly cfgFactor?: number;
  /** Distance of the timesteps of the grid it steps along, where that is not the model's own. */
  readonly gridStride?: number;
  /** Whether steps follow the unconditioned prediction (CFG++). */
  readonly keepsUncond?: boolean;
}

/** One scheduler, as the API gives it. */
export interface SchedulerEntry {
  readonly name: string;
  readonly label: string;
  readonly aliases: readonly string[] | null;
  /** Default exponent; -1 = takes none. */
  readonly default_rho: number;
  /** Whether it reads the model's own noise levels. */
  readonly need_inner_model: boolean;
}

/** Recurring options. */
const KARRAS = { scheduler: 'karras' };
const EXPONENTIAL = { scheduler: 'exponential' };
const DISCARD = { discard_next_to_last_sigma: 'True' };
const ENSD = { uses_ensd: 'True' };
const SECOND_ORDER = { second_order: 'True' };
const BROWNIAN = { brownian_noise: 'True' };

/** All samplers, in the API's order: the web UI's, then those of Forge and ComfyUI. */
export const SAMPLERS: readonly SamplerEntry[] = [
  sampler('DPM++ 2M', ['k_dpmpp_2m'], KARRAS),
  sampler(
    'DPM++ SDE',
    ['k_dpmpp_sde'],
    { ...KARRAS, ...SECOND_ORDER, ...BROWNIAN },
    { calls: 'twice', takes: ['eta', 'noise'] },
  ),
  sampler(
    'DPM++ 2M SDE',
    ['k_dpmpp_2m_sde'],
    { ...EXPONENTIAL, ...BROWNIAN },
    { takes: ['eta', 'noise'] },
  ),
  sampler(
    'DPM++ 2M SDE Heun',
    ['k_dpmpp_2m_sde_heun'],
    { ...EXPONENTIAL, ...BROWNIAN, solver_type: 'heun' },
    { takes: ['eta', 'noise'] },
  ),
  sampler(
    'DPM++ 2S a',
    ['k_dpmpp_2s_a'],
    { ...KARRAS, ...ENSD, ...SECOND_ORDER },
    { calls: 'twice', takes: ['eta', 'noise'] },
  ),
  sampler(
    'DPM++ 3M SDE',
    ['k_dpmpp_3m_sde'],
    { ...EXPONENTIAL, ...DISCARD, ...BROWNIAN },
    { takes: ['eta', 'noise'] },
  ),
  sampler('Euler a', ['k_euler_a', 'k_euler_ancestral'], ENSD, { takes: ['eta'] }),
  sampler('Euler', ['k_euler'], {}, { takes: ['churn'] }),
  sampler('LMS', ['k_lms'], {}),
  sampler('Heun', ['k_heun'], SECOND_ORDER, { calls: 'twice', takes: ['churn'] }),
  sampler(
    'DPM2',
    ['k_dpm_2'],
    { ...KARRAS, ...DISCARD, ...SECOND_ORDER },
    { calls: 'twice', takes: ['churn'] },
  ),
  sampler(
    'DPM2 a',
    ['k_dpm_2_a'],
    { ...KARRAS, ...DISCARD, ...ENSD, ...SECOND_ORDER },
    { calls: 'twice', takes: ['eta', 'noise'] },
  ),
  sampler('DPM fast', ['k_dpm_fast'], ENSD, { calls: 'exact', takes: ['eta', 'noise'] }),
  sampler('DPM adaptive', ['k_dpm_ad'], ENSD, { calls: 'adaptive', takes: ['eta'] }),
  sampler('Restart', ['restart'], { ...KARRAS, ...SECOND_ORDER }, { calls: 'twice' }),
  sampler('DDIM', ['ddim'], {}, { family: 'timestep', takes: ['eta'] }),
  sampler(
    'DDIM CFG++',
    ['ddim_cfgpp'],
    {},
    { family: 'timestep', takes: ['eta'], cfgFactor: 1 / 12.5, keepsUncond: true },
  ),
  sampler('PLMS', ['plms'], {}, { family: 'timestep' }),
  sampler('UniPC', ['unipc'], {}, { family: 'timestep', calls: 'exact' }),
  sampler('LCM', ['k_lcm'], {}, { gridStride: 20 }),
  sampler('HeunPP2', ['heunpp2'], {}, { calls: 'thrice' }),
  sampler('IPNDM', ['ipndm'], {}),
  sampler('IPNDM_V', ['ipndm_v'], {}),
  sampler('DEIS', ['deis'], {}),
  sampler('DDPM', ['ddpm'], {}),
  sampler('Euler CFG++', ['k_euler_cfg_pp', 'euler_cfg_pp'], {}, { keepsUncond: true }),
  sampler('Euler a CFG++', ['k_euler_a_cfg_pp', 'euler_ancestral_cfg_pp'], ENSD, {
    takes: ['eta'],
    keepsUncond: true,
  }),
  sampler('TCD', ['tcd'], {}, { takes: ['eta'], defaultEta: 0.3 }),
];

/** An entry of the sigma family that calls the model once a step and takes no options. */
function sampler(
  name: string,
  aliases: string[],
  options: Record<string, string>,
  rest: Partial<SamplerEntry> = {},
): SamplerEntry {
  return { name, aliases, options, family: 'sigma', calls: 'once', takes: [], ...rest };
}

/** All schedulers, in the API's order. */
export const SCHEDULERS: readonly SchedulerEntry[] = [
  scheduler('automatic', 'Automatic'),
  scheduler('uniform', 'Uniform', { need_inner_model: true }),
  scheduler('karras', 'Karras', { default_rho: 7 }),
  scheduler('exponential', 'Exponential'),
  scheduler('polyexponential', 'Polyexponential', { default_rho: 1 }),
  scheduler('sgm_uniform', 'SGM Uniform', { need_inner_model: true, aliases: ['SGMUniform'] }),
  scheduler('kl_optimal', 'KL Optimal'),
  scheduler('align_your_steps', 'Align Your Steps'),
  scheduler('simple', 'Simple', { need_inner_model: true }),
  scheduler('normal', 'Normal', { need_inner_model: true }),
  scheduler('ddim', 'DDIM', { need_inner_model: true }),
  scheduler('beta', 'Beta', { need_inner_model: true }),
  scheduler('turbo', 'Turbo', { need_inner_model: true }),
  scheduler('align_your_steps_GITS', 'Align Your Steps GITS'),
  scheduler('align_your_steps_11', 'Align Your Steps 11'),
  scheduler('align_your_steps_32', 'Align Your Steps 32'),
];

function scheduler(
  name: string,
  label: string,
  rest: Partial<SchedulerEntry> = {},
): SchedulerEntry {
  return { name, label, aliases: null, default_rho: -1, need_inner_model: false, ...rest };
}

/** Endings of old sampler aliases that name a scheduler. */
const ALIAS_ENDINGS: readonly (readonly [ending: string, scheduler: string])[] = [
  ['_ka', 'karras'],
  ['_exp', 'exponential'],
];

/**
 * Returns the sampler of a name or alias; exact names first, then regardless of case.
 *
 * @param name display name or alias
 * @returns null if there is none
 */
export function findSampler(name: string): SamplerEntry | null {
  const lower = name.toLowerCase();
  return (
    SAMPLERS.find((entry) => entry.name === name) ??
    SAMPLERS.find((entry) =>
      [entry.name, ...entry.aliases].some((known) => known.toLowerCase() === lower),
    ) ??
    null
  );
}

/**
 * Returns the scheduler of a name, label or alias, regardless of case.
 *
 * @param name what a request says; empty or null = Automatic
 * @returns null if there is none
 */
export function findScheduler(name: string | null | undefined): SchedulerEntry | null {
  const lower = (name ?? '').toLowerCase() || 'automatic';
  return SCHEDULERS.find((entry) => spellings(entry).includes(lower)) ?? null;
}

function spellings({ name, label, aliases }: SchedulerEntry): string[] {
  return [label, name, ...(aliases ?? [])].map((spelling) => spelling.toLowerCase());
}

/** A sampler and a scheduler as results name them. */
export interface ResolvedSampler {
  /** Display name. */
  sampler: string;
  /** Label; `Automatic` lets the sampler choose. */
  scheduler: string;
}

/**
 * Returns what a request's sampler and scheduler fields mean.
 *
 * The name may be a display name, an alias, or one of both with a scheduler's name behind it
 * ("DPM++ 2M Karras", "k_dpmpp_2m_ka"). A scheduler field wins over that ending; an unknown one
 * counts as Automatic, as in the web UI.
 *
 * @param name      sampler field, not empty
 * @param scheduler scheduler field; empty or null = not given
 * @returns null if the sampler is unknown
 */
export function resolveSampler(name: string, scheduler?: string | null): ResolvedSampler | null {
  const found = splitName(name.trim());
  if (found === null) return null;
  const { entry, ending } = found;
  const isDefault = ending !== null && entry.options.scheduler === ending.name;
  const wanted = scheduler ? findScheduler(scheduler) : isDefault ? null : ending;
  return { sampler: entry.name, scheduler: wanted?.label ?? 'Automatic' };
}

/** Takes a scheduler's name off the end of a sampler's; the longest that leaves a sampler. */
function splitName(name: string): { entry: SamplerEntry; ending: SchedulerEntry | null } | null {
  const whole = findSampler(name);
  if (whole !== null) return { entry: whole, ending: null };
  const endings = SCHEDULERS.flatMap((entry) =>
    spellings(entry).map((spelling): [string, SchedulerEntry] => [` ${spelling}`, entry]),
  );
  for (const [ending, scheduler] of ALIAS_ENDINGS)
    endings.push([ending, findScheduler(scheduler)!]);
  endings.sort(([a], [b]) => b.length - a.length);
  for (const [text, ending] of endings) {
    if (!name.toLowerCase().endsWith(text)) continue;
    const entry = findSampler(name.slice(0, -text.length));
    if (entry !== null) return { entry, ending };
  }
  return null;
}
