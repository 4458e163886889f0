import type { ParsedInfotext } from './infotext-parse.ts';

/** A value of `POST /sdapi/v1/png-info`: text as it was read, or a default of the web UI's own type. */
export type Parameter = string | number | boolean | readonly string[];

/** What the web UI fills in where an infotext says nothing, in its order. */
const DEFAULTS: readonly (readonly [key: string, value: Parameter])[] = [
  ['Clip skip', '1'],
  ['Hires resize-1', 0],
  ['Hires resize-2', 0],
  ['Hires sampler', 'Use same sampler'],
  ['Hires schedule type', 'Use same scheduler'],
  ['Hires checkpoint', 'Use same checkpoint'],
  ['Hires prompt', ''],
  ['Hires negative prompt', ''],
  ['Mask mode', 'Inpaint masked'],
  ['Masked content', 'original'],
  ['Inpaint area', 'Whole picture'],
  ['Masked area padding', 32],
  ['RNG', 'GPU'],
  ['Schedule type', 'Automatic'],
  ['Schedule max sigma', 0],
  ['Schedule min sigma', 0],
  ['Schedule rho', 0],
  ['VAE Encoder', 'Full'],
  ['VAE Decoder', 'Full'],
  ['FP8 weight', 'Disable'],
];

/**
 * Returns an infotext's parameters with the web UI's defaults for what it does not say, keyed as in the
 * text. A text that turns FP8 weights on also gets `Cache FP16 weight for LoRA`.
 *
 * @param text            taken apart; styles already taken out of its prompts
 * @param styles          names of the styles that were taken out; null leaves the list away
 * @param usesEmphasis    whether a prompt weighs words: then `Emphasis` has a default, too
 */
export function fillParameters(
  { prompt, negativePrompt, parameters }: ParsedInfotext,
  styles: readonly string[] | null,
  usesEmphasis: boolean,
): Map<string, Parameter> {
  const filled = new Map<string, Parameter>();
  if (styles !== null) filled.set('Styles array', styles);
  filled.set('Prompt', prompt).set('Negative prompt', negativePrompt);
  for (const [key, value] of parameters) filled.set(key, value);
  const fill = (key: string, value: Parameter) => {
    if (!filled.has(key)) filled.set(key, value);
  };
  for (const [key, value] of DEFAULTS) fill(key, value);
  if (filled.get('FP8 weight') !== 'Disable') fill('Cache FP16 weight for LoRA', false);
  if (usesEmphasis) fill('Emphasis', 'Original');
  fill('Refiner switch by sampling steps', false);
  return filled;
}
