/**
 * What a request may ask for and this server cannot do, decided in one place: a picture that would
 * silently differ is refused with the field's name; the rest is answered with a comment in `info`.
 */
import { isDict } from '../openapi/schemas/coercion.ts';
import type { CommonRequest } from '../openapi/schemas/generation.ts';
import { type OptionKey, Options, UNREAD_OPTIONS } from '../openapi/schemas/options.ts';
import type { Txt2ImgRequest } from '../openapi/schemas/txt2img.ts';
import { HttpError } from '../server/errors.ts';
import { isInert } from './scripts/inert.ts';
import { SOFT_INPAINTING } from './soft-inpainting.ts';

/** Names that mean "none" in fields that name a model. */
const NO_MODEL = new Set(['', 'none']);

/** What the table looks at, of txt2img or img2img. */
type CheckedRequest = CommonRequest &
  Pick<Partial<Txt2ImgRequest>, 'enable_hr'> & { init_images?: unknown };

/** Said of every field that asks for faces to be restored. */
export const NO_FACE_RESTORER = 'there is no face restorer';

interface Rule {
  isActive(request: CheckedRequest): boolean;
  /** The sentence of the refusal, or of the comment; it begins with the field's name. */
  sentence: string;
  isHarmless?: true;
}

/** The decisions about fields; the README shows each, and a test compares the two. */
export const RULES: readonly Rule[] = [
  {
    isActive: ({ restore_faces }) => restore_faces === true,
    sentence: `restore_faces: ${NO_FACE_RESTORER}; the pictures are as the model drew them.`,
    isHarmless: true,
  },
];

/** Options of A1111 that change pictures there; those of them that nothing reads here are told. */
const PICTURE_OPTIONS: readonly OptionKey[] = [
  'use_old_emphasis_implementation',
  'use_old_scheduling',
  'pad_cond_uncond_v0',
  's_min_uncond_all',
  'skip_early_cond',
  'uni_pc_variant',
  'uni_pc_skip_type',
  'uni_pc_order',
  'uni_pc_lower_order_final',
  'sd_noise_schedule',
  'beta_dist_alpha',
  'beta_dist_beta',
  'enable_quantization',
  'use_old_karras_scheduler_sigmas',
  'use_downcasted_alpha_bar',
  'no_dpmpp_sde_batch_determinism',
  'fp8_storage',
  'sd_vae_decode_method',
  'sd_vae_encode_method',
  'enable_batch_seeds',
  'sd_lora',
  'sd_hypernetwork',
];
const DEFAULTS = Options.parse({});

/**
 * Tells which options in force would change the picture in A1111 and do not here.
 *
 * @returns comments for `info`; clients send such options by habit, so they are no reason to refuse
 */
export function describeUnreadOptions(options: Options): string[] {
  return PICTURE_OPTIONS.filter(
    (key) => UNREAD_OPTIONS.has(key) && options[key] !== DEFAULTS[key],
  ).map((key) => `${key}: this option is not read here; the picture is as with its default.`);
}

/**
 * Checks a request against the table and its scripts.
 *
 * @returns comments for `info`
 * @throws HttpError UNSUPPORTED_FEATURE or SCRIPT_NOT_FOUND with the field's name
 */
export function checkSupported(request: CheckedRequest): string[] {
  const comments: string[] = [];
  for (const { isActive, sentence, isHarmless } of RULES) {
    if (!isActive(request)) continue;
    if (isHarmless !== true) throw new HttpError('UNSUPPORTED_FEATURE', sentence);
    comments.push(sentence);
  }
  for (const [title, entry] of Object.entries(request.alwayson_scripts)) {
    if (isInert(title)) continue;
    if (title.toLowerCase() === SOFT_INPAINTING && request.init_images !== undefined) continue;
    const args: unknown = isDict(entry) ? entry.args : entry;
    const isActive =
      title.toLowerCase() === 'controlnet' ? hasActiveUnit(args) : isActiveArgument(args);
    if (isActive) {
      throw new HttpError('SCRIPT_NOT_FOUND', `Script '${title}' not found`);
    }
  }
  return comments;
}

/** Whether a ControlNet unit is enabled, which is the default, and has a picture to follow. */
function hasActiveUnit(units: unknown): boolean {
  if (!Array.isArray(units)) return isActiveArgument(units);
  return units.some((unit) => {
    if (!isDict(unit)) return isActiveArgument(unit);
    return unit.enabled !== false && isActiveArgument(unit.image ?? unit.input_image);
  });
}

/**
 * Whether an argument of an always-on script switches something on. The lists that front-ends
 * always send are off: empty, all false or null, or units that say `enabled: false`.
 */
function isActiveArgument(value: unknown): boolean {
  if (Array.isArray(value)) {
    // Many scripts begin with their switch: what follows it are settings.
    return value[0] === false ? false : value.some(isActiveArgument);
  }
  if (isDict(value)) return value.enabled !== false && Object.values(value).some(isActiveArgument);
  if (typeof value === 'string') return !NO_MODEL.has(value.toLowerCase());
  return value !== null && value !== undefined && value !== false && value !== 0;
}
