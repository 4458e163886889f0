/** "Prompt matrix": one picture for every combination of the parts of a prompt after `|`. */
import { type Caption, makeLegendGrid } from '../../images/legend-grid.ts';
import { ScriptArguments } from './arguments.ts';
import { argument, badArgument, type Script } from './script.ts';

const TITLE = 'Prompt matrix';
/** Parts after the first: 8 make 256 pictures. */
const MAX_PARTS = 8;
/** Pixels between the pictures; A1111's slider ends here. */
const MAX_MARGIN = 500;

export const promptMatrix: Script = {
  title: TITLE,
  tabs: ['txt2img', 'img2img'],
  args: () => [
    argument('Put variable parts at start of prompt', false),
    argument('Use different seed for each picture', false),
    argument('Select prompt', 'positive', { choices: ['positive', 'negative'] }),
    argument('Select joining char', 'comma', { choices: ['comma', 'space'] }),
    argument('Grid margins (px)', 0, { minimum: 0, maximum: MAX_MARGIN, step: 2 }),
  ],
  async run({ request, args, make }) {
    const read = new ScriptArguments(TITLE, args);
    const putAtStart = read.flag(0, false);
    const hasDifferentSeeds = read.flag(1, false);
    const isPositive = read.choice(2, ['positive', 'negative'], 'positive') === 'positive';
    const field = isPositive ? 'prompt' : 'negative_prompt';
    const delimiter = read.choice(3, ['comma', 'space'], 'comma') === 'comma' ? ', ' : ' ';
    const margin = read.number(4, 0, 0, MAX_MARGIN);
    const [base = '', ...parts] = (request[field] ?? '').split('|').map((part) => part.trim());
    if (parts.length > MAX_PARTS) {
      const limit = `Expected at most ${MAX_PARTS} parts after the first for ${field} of ${TITLE}`;
      throw badArgument(`${limit} but received ${parts.length}.`);
    }
    const seed = request.seed ?? 0;
    const made = await make(
      combine(base, parts, putAtStart, delimiter).map((prompt, i) => ({
        ...request,
        [field]: prompt,
        seed: hasDifferentSeeds ? seed + i : seed,
        batch_size: 1,
        n_iter: 1,
      })),
    );
    const pictures = made.flatMap((one) => one.pictures);
    const [first] = pictures;
    if (first === undefined) return { pictures, grids: 0, indexOfFirstImage: 0 };
    // The first half of the parts varies along a row, the second half down the columns.
    const across = Math.ceil(parts.length / 2);
    const image = makeLegendGrid(
      pictures.map((picture) => picture.image),
      {
        columns: 2 ** across,
        columnCaptions: captions(parts.slice(0, across)),
        rowCaptions: captions(parts.slice(across)),
        margin,
      },
    );
    return { pictures: [{ ...first, image }, ...pictures], grids: 1, indexOfFirstImage: 1 };
  },
};

/** Every combination of the parts, counted in binary with the first part as the lowest bit. */
function combine(base: string, parts: readonly string[], putAtStart: boolean, delimiter: string) {
  return Array.from({ length: 2 ** parts.length }, (_, bits) => {
    const chosen = parts.filter((_, i) => (bits >> i) & 1);
    return (putAtStart ? [...chosen, base] : [base, ...chosen]).join(delimiter);
  });
}

/** For every combination all parts, those that are left out struck. */
function captions(parts: readonly string[]): Caption[][] {
  return Array.from({ length: 2 ** parts.length }, (_, bits) =>
    parts.map((text, i) => ({ text, isStruck: ((bits >> i) & 1) === 0 })),
  );
}
