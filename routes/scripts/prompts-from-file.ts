/** "Prompts from file or textbox": one request per line, each with options of its own. */
import { readBoolean, readFloat, readInteger } from '../../openapi/schemas/coercion.ts';
import type { CommonRequest } from '../../openapi/schemas/generation.ts';
import { ScriptArguments } from './arguments.ts';
import { argument, badArgument, type Script } from './script.ts';

const TITLE = 'Prompts from file or textbox';
/** Lines of one request. */
const MAX_LINES = 500;

type Fields = Partial<CommonRequest>;
type ReadOption = (value: string) => Fields | undefined;

/** Options of a line, as A1111 names them; undefined for a value that cannot be read. */
const OPTIONS: Readonly<Record<string, ReadOption>> = {
  sd_model: (value) => ({ override_settings: { sd_model_checkpoint: value } }),
  outpath_samples: () => ({}),
  outpath_grids: () => ({}),
  prompt_for_display: () => ({}),
  prompt: (value) => ({ prompt: value }),
  negative_prompt: (value) => ({ negative_prompt: value }),
  styles: (value) => ({ styles: value.split(',').map((name) => name.trim()) }),
  seed: integer((seed) => ({ seed })),
  subseed_strength: number((subseed_strength) => ({ subseed_strength })),
  subseed: integer((subseed) => ({ subseed })),
  seed_resize_from_h: integer((seed_resize_from_h) => ({ seed_resize_from_h })),
  seed_resize_from_w: integer((seed_resize_from_w) => ({ seed_resize_from_w })),
  sampler_index: (value) => ({ sampler_index: value, sampler_name: value }),
  sampler_name: (value) => ({ sampler_name: value }),
  scheduler: (value) => ({ scheduler: value }),
  batch_size: integer((batch_size) => ({ batch_size })),
  n_iter: integer((n_iter) => ({ n_iter })),
  steps: integer((steps) => ({ steps })),
  cfg_scale: number((cfg_scale) => ({ cfg_scale })),
  width: integer((width) => ({ width })),
  height: integer((height) => ({ height })),
  restore_faces: boolean((restore_faces) => ({ restore_faces })),
  tiling: boolean((tiling) => ({ tiling })),
  do_not_save_samples: () => ({}),
  do_not_save_grid: () => ({}),
};

export const promptsFromFile: Script = {
  title: TITLE,
  tabs: ['txt2img', 'img2img'],
  args: () => [
    argument('Iterate seed every line', false),
    argument('Use same random seed for all lines', false),
    argument('Insert prompts at the', 'start', { choices: ['start', 'end'] }),
    argument('List of prompt inputs', ''),
  ],
  async run({ request, askedSeed, args, make }) {
    const read = new ScriptArguments(TITLE, args);
    const isIterating = read.flag(0, false);
    const isSameSeed = read.flag(1, false);
    const place = read.choice(2, ['start', 'end'], 'start');
    const lines = read
      .text(3, '')
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== '');
    if (lines.length > MAX_LINES) {
      throw badArgument(`Expected at most ${MAX_LINES} lines for ${TITLE}.`);
    }
    // Without one of the two options a random seed is drawn for every line anew.
    let seed = isIterating || isSameSeed || askedSeed >= 0 ? request.seed : -1;
    const requests = lines.map((line) => {
      const fields = readPromptLine(line);
      const one = {
        ...request,
        seed,
        ...fields,
        ...join(request, fields, place),
        override_settings: { ...request.override_settings, ...fields.override_settings },
      };
      if (isIterating) seed = (seed ?? 0) + (request.batch_size ?? 1) * (request.n_iter ?? 1);
      return one;
    });
    const made = await make(requests);
    return { pictures: made.flatMap(({ pictures }) => pictures), grids: 0, indexOfFirstImage: 0 };
  },
};

/** Puts a line's prompts before or after those of the request. */
function join(request: CommonRequest, line: Fields, place: 'start' | 'end'): Fields {
  const both = (own: string | null | undefined, general: string | null) => {
    if (!own || !general) return own ?? general;
    return place === 'start' ? `${own} ${general}` : `${general} ${own}`;
  };
  return {
    prompt: both(line.prompt, request.prompt),
    negative_prompt: both(line.negative_prompt, request.negative_prompt),
  };
}

/**
 * Reads one line: a plain prompt, or options such as `--prompt a boat --steps 20`. The two prompts
 * take every word up to the next option; quotes keep blanks together, as in a shell.
 *
 * @throws HttpError SCRIPT_ARGUMENT for an unknown option or a value that cannot be read
 */
export function readPromptLine(line: string): Fields {
  if (!line.includes('--')) return { prompt: line };
  const words = splitWords(line);
  const fields: Fields = {};
  while (words.length > 0) {
    const word = words.shift() as string;
    const name = word.slice(2);
    const option = word.startsWith('--') && Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : null;
    if (!option) {
      throw badArgument(`Expected an option such as --prompt for ${TITLE} but received ${word}.`);
    }
    const takesWords = name === 'prompt' || name === 'negative_prompt';
    const value = takesWords ? takeWords(words) : words.shift();
    const read = value === undefined ? undefined : option(value);
    if (read === undefined) {
      throw badArgument(`Expected a value for --${name} of ${TITLE} but received ${value}.`);
    }
    Object.assign(fields, read);
  }
  return fields;
}

function takeWords(words: string[]): string {
  const end = words.findIndex((word) => word.startsWith('--'));
  return words.splice(0, end === -1 ? words.length : end).join(' ');
}

/** Splits at blanks outside quotes; quotes and backslashes before a character are taken away. */
function splitWords(line: string): string[] {
  const words = line.match(/(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\]|["'\\])+/g) ?? [];
  return words.map((word) =>
    word.replace(
      /\\(.)|"((?:\\.|[^"\\])*)"|'([^']*)'/g,
      (_whole, escaped?: string, double?: string, single?: string) =>
        escaped ?? double?.replace(/\\(["\\])/g, '$1') ?? single ?? '',
    ),
  );
}

function integer(make: (value: number) => Fields): ReadOption {
  return reader(readInteger, make);
}

function number(make: (value: number) => Fields): ReadOption {
  return reader(readFloat, make);
}

function boolean(make: (value: boolean) => Fields): ReadOption {
  return reader(readBoolean, make);
}

function reader<T>(read: (text: string) => T | undefined, make: (value: T) => Fields): ReadOption {
  return (text) => {
    const value = read(text);
    return value === undefined ? undefined : make(value);
  };
}
