import { pythonFloat, pythonText } from './python-format.ts';

/** Value of one `Key: value` pair. Whole numbers print as integers; write floats with `pythonFloat`. */
export type InfotextValue = string | number | boolean | null | undefined;
export type InfotextField = readonly [key: string, value: InfotextValue];

export interface InfotextSource {
  prompt: string;
  negativePrompt: string;
  /** Printed in this order; null and undefined are left out. */
  fields: readonly InfotextField[];
}

/**
 * Returns the text that describes a picture the way the web UI writes it: the prompt, the line
 * `Negative prompt: …` unless that is empty, and a last line of `Key: value` pairs.
 *
 * A value with a comma, colon or line break is quoted as JSON. A value that equals its key prints the
 * key alone.
 */
export function buildInfotext({ prompt, negativePrompt, fields }: InfotextSource): string {
  const pairs: string[] = [];
  for (const [key, value] of fields) {
    if (value === null || value === undefined) continue;
    const text = pythonText(value);
    pairs.push(text === key ? key : `${key}: ${quote(text)}`);
  }
  const negative = negativePrompt ? `\nNegative prompt: ${negativePrompt}` : '';
  return `${prompt}${negative}\n${pairs.join(', ')}`.trim();
}

/**
 * Returns an infotext with further pairs at its end, before the version.
 *
 * @param infotext  as `buildInfotext` writes it
 */
export function addInfotextFields(infotext: string, fields: readonly InfotextField[]): string {
  const pairs = buildInfotext({ prompt: '', negativePrompt: '', fields });
  const version = infotext.lastIndexOf(', Version: ');
  if (version === -1) return `${infotext}, ${pairs}`;
  return `${infotext.slice(0, version)}, ${pairs}${infotext.slice(version)}`;
}

function quote(text: string): string {
  return /[,\n:]/.test(text) ? JSON.stringify(text) : text;
}

/** What is known about a picture. Everything is optional; what is absent or null is not printed. */
export interface GenerationRecord {
  steps?: number | null;
  sampler?: string | null;
  /** Label, e.g. `Karras`. */
  scheduleType?: string | null;
  cfgScale?: number | null;
  /** Instruct checkpoints only. */
  imageCfgScale?: number | null;
  seed?: number | null;
  faceRestoration?: string | null;
  /** Pixels of the first pass. */
  width?: number | null;
  height?: number | null;
  /** 10 hex digits. */
  modelHash?: string | null;
  model?: string | null;
  vaeHash?: string | null;
  vae?: string | null;
  variationSeed?: number | null;
  /** 0 … 1; at 0 neither the strength nor the seed is printed. */
  variationSeedStrength?: number | null;
  /** Pixels; printed when both are above 0. */
  seedResizeFromW?: number | null;
  seedResizeFromH?: number | null;
  denoisingStrength?: number | null;
  conditionalMaskWeight?: number | null;
  /** Printed above 1. */
  clipSkip?: number | null;
  /** Eta noise seed delta; printed unless 0. */
  ensd?: number | null;
  tokenMergingRatio?: number | null;
  tokenMergingRatioHr?: number | null;
  initImageHash?: string | null;
  /** Noise source; the default `GPU` is not printed. */
  rng?: string | null;
  tiling?: boolean | null;
  /** Further pairs in the order they came up; one that names an earlier key replaces its value in place. */
  extra?: readonly InfotextField[];
  version?: string | null;
  user?: string | null;
}

/** Returns the pairs of the last line in the web UI's order, with its rules for what is printed at all. */
export function generationFields(record: GenerationRecord): InfotextField[] {
  const hasVariation = (record.variationSeedStrength ?? 0) !== 0;
  const fields = new Map<string, InfotextValue>([
    ['Steps', record.steps],
    ['Sampler', record.sampler],
    ['Schedule type', record.scheduleType],
    ['CFG scale', float(record.cfgScale)],
    ['Image CFG scale', float(record.imageCfgScale)],
    ['Seed', record.seed],
    ['Face restoration', record.faceRestoration],
    ['Size', size(record.width, record.height)],
    ['Model hash', record.modelHash],
    ['Model', record.model],
    ['VAE hash', record.vaeHash],
    ['VAE', record.vae],
    ['Variation seed', hasVariation ? record.variationSeed : null],
    ['Variation seed strength', hasVariation ? float(record.variationSeedStrength) : null],
    ['Seed resize from', size(record.seedResizeFromW, record.seedResizeFromH)],
    ['Denoising strength', float(record.denoisingStrength)],
    ['Conditional mask weight', float(record.conditionalMaskWeight)],
    ['Clip skip', (record.clipSkip ?? 1) > 1 ? record.clipSkip : null],
    ['ENSD', record.ensd === 0 ? null : record.ensd],
    ['Token merging ratio', nonZero(record.tokenMergingRatio)],
    ['Token merging ratio hr', nonZero(record.tokenMergingRatioHr)],
    ['Init image hash', record.initImageHash],
    ['RNG', record.rng === 'GPU' ? null : record.rng],
    ['Tiling', record.tiling ? true : null],
  ]);
  for (const [key, value] of record.extra ?? []) fields.set(key, value);
  fields.set('Version', record.version).set('User', record.user);
  return [...fields].filter(([, value]) => value !== null && value !== undefined);
}

function float(value: number | null | undefined): string | null {
  return value === null || value === undefined ? null : pythonFloat(value);
}

function nonZero(value: number | null | undefined): string | null {
  return value === 0 ? null : float(value);
}

function size(width: number | null | undefined, height: number | null | undefined): string | null {
  return width && height && width > 0 && height > 0 ? `${width}x${height}` : null;
}
