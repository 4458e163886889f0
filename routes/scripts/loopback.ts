/** "Loopback": each picture is the init image of the next. */
import { encodeImage } from '../../images/encode.ts';
import { makeGrid } from '../../images/grid.ts';
import { addInfotextFields } from '../../images/infotext.ts';
import { pythonFloat } from '../../images/python-format.ts';
import { ScriptArguments } from './arguments.ts';
import { argument, type Script, type ScriptPicture } from './script.ts';

const TITLE = 'Loopback';
/** Pictures made one from the other; A1111's slider ends here. */
const MAX_LOOPS = 32;
const CURVES = ['Aggressive', 'Linear', 'Lazy'] as const;
/** `inpainting_fill` that starts from what is there. */
const ORIGINAL = 1;
/** What may be appended to the prompt: nothing, or what a captioning model says. */
const CAPTIONS = ['None', 'CLIP'] as const;
/** Between two loops nothing may be lost. */
const BETWEEN = { format: 'png', quality: 100 } as const;

export const loopback: Script = {
  title: TITLE,
  tabs: ['img2img'],
  args: () => [
    argument('Loops', 4, { minimum: 1, maximum: MAX_LOOPS, step: 1 }),
    argument('Final denoising strength', 0.5, { minimum: 0, maximum: 1, step: 0.01 }),
    argument('Denoising strength curve', 'Linear', { choices: CURVES }),
    argument('Append interrogated prompt at each iteration', 'None', { choices: CAPTIONS }),
  ],
  async run({ request, args, make, caption }) {
    const read = new ScriptArguments(TITLE, args);
    const loops = Math.trunc(read.number(0, 4, 1, MAX_LOOPS));
    const last = read.number(1, 0.5, 0, 1);
    const curve = read.choice(2, CURVES, 'Linear');
    const isCaptioned = read.choice(3, CAPTIONS, 'None') === 'CLIP';
    const first = request.denoising_strength ?? 0;
    const batches = request.n_iter ?? 1;
    const count = batches * loops;
    const pictures: ScriptPicture[] = [];
    const fields = [
      ['Final denoising strength', pythonFloat(last)],
      ['Denoising curve', curve],
    ] as const;
    let seed = request.seed ?? 0;
    for (let batch = 0; batch < batches; batch++) {
      let next = { ...request, batch_size: 1, n_iter: 1 };
      let latest: ScriptPicture | undefined;
      let file: Buffer | null = null;
      for (let loop = 0; loop < loops; loop++) {
        const denoising_strength = strengthAt(loop, loops, first, last, curve);
        const place = { index: batch * loops + loop, count };
        const own = { ...next, denoising_strength, seed };
        if (isCaptioned) {
          const words = await caption(file, place);
          if (words === null) return finish(pictures);
          own.prompt = request.prompt ? `${request.prompt}, ${words}` : words;
        }
        const [made] = await make([own], place);
        const [picture] = made?.pictures ?? [];
        if (picture === undefined) return finish(pictures);
        seed = picture.seed + 1;
        latest = { ...picture, infotext: addInfotextFields(picture.infotext, fields) };
        // Several batches answer what each came to, one answers the whole way there.
        if (batches === 1) pictures.push(latest);
        file = await encodeImage(picture.image, BETWEEN, null);
        next = { ...next, init_images: [file.toString('base64')], inpainting_fill: ORIGINAL };
      }
      if (batches > 1 && latest) pictures.push(latest);
    }
    return finish(pictures);
  },
};

/** The strength of one loop, from the first to the last along a curve. */
function strengthAt(
  loop: number,
  loops: number,
  first: number,
  last: number,
  curve: (typeof CURVES)[number],
): number {
  if (loops === 1) return first;
  const progress = loop / (loops - 1);
  const quarter = (progress * Math.PI) / 2;
  const share =
    curve === 'Aggressive'
      ? Math.sin(quarter)
      : curve === 'Lazy'
        ? 1 - Math.cos(quarter)
        : progress;
  // Rounding may leave the range by a hair.
  return Math.min(1, Math.max(0, first + (last - first) * share));
}

/** The pictures with a grid of one row before them when there are several. */
function finish(pictures: readonly ScriptPicture[]) {
  const [first] = pictures;
  if (first === undefined || pictures.length < 2) {
    return { pictures, grids: 0, indexOfFirstImage: 0 };
  }
  const images = pictures.map(({ image }) => image);
  const grid = { ...first, image: makeGrid(images, undefined, { nRows: 1 }) };
  return { pictures: [grid, ...pictures], grids: 1, indexOfFirstImage: 0 };
}
