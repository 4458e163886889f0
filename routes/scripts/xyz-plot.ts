/** "X/Y/Z plot": a picture for every combination of the values of up to three axes. */
import { randomInt } from 'node:crypto';
import { addInfotextFields } from '../../images/infotext.ts';
import { makeLegendGrid } from '../../images/legend-grid.ts';
import type { RgbImage } from '../../images/rgb-image.ts';
import { readInteger } from '../../openapi/schemas/coercion.ts';
import { MAX_REQUEST_PIXELS } from '../../server/limits.ts';
import { ScriptArguments } from './arguments.ts';
import {
  argument,
  badArgument,
  type Script,
  type ScriptCall,
  type ScriptPicture,
  type ScriptRequest,
} from './script.ts';
import { listAxes } from './xyz-axes.ts';
import type { Axis } from './xyz-axis-kinds.ts';
import { MAX_AXIS_VALUES, splitValues } from './xyz-values.ts';

const TITLE = 'X/Y/Z plot';
/** Pixels between the pictures; A1111's slider ends here. */
const MAX_MARGIN = 500;
/** Pictures of one plot. */
const MAX_CELLS = 1_000;
const RANDOM_SEEDS = 4_294_967_294;
/** First of the three arguments of each axis. */
const AXIS_ARGUMENTS = { X: 0, Y: 3, Z: 6 } as const;

/** An axis with its values as read. */
interface Values {
  axis: Axis;
  values: readonly unknown[];
  captions: readonly string[];
  /** As sent, for the infotext. */
  text: string;
}

export const xyzPlot: Script = {
  title: TITLE,
  tabs: ['txt2img', 'img2img'],
  args(tab) {
    const labels = listAxes(tab).map(({ label }) => label);
    const axis = (name: string, value: string) => [
      argument(`${name} type`, value, { choices: labels }),
      argument(`${name} values`, ''),
      argument(`${name} values`, null, { choices: [] }),
    ];
    return [
      ...axis('X', 'Seed'),
      ...axis('Y', 'Nothing'),
      ...axis('Z', 'Nothing'),
      argument('Draw legend', true),
      argument('Include Sub Images', false),
      argument('Include Sub Grids', false),
      argument('Keep -1 for seeds', false),
      argument('Vary seeds for X', false),
      argument('Vary seeds for Y', false),
      argument('Vary seeds for Z', false),
      argument('Grid margins (px)', 0, { minimum: 0, maximum: MAX_MARGIN, step: 2 }),
      argument('Use text inputs instead of dropdowns', false),
    ];
  },

  async run(call) {
    const read = new ScriptArguments(TITLE, call.args);
    const hasLegend = read.flag(9, true);
    const withCells = read.flag(10, false);
    const withSubGrids = read.flag(11, false);
    const keepsRandom = read.flag(12, false);
    const varies = [read.flag(13, false), read.flag(14, false), read.flag(15, false)] as const;
    const margin = read.number(16, 0, 0, MAX_MARGIN);
    const isCsv = read.flag(17, false);
    const readAxis = (name: keyof typeof AXIS_ARGUMENTS) =>
      readValues(call, read, name, { isCsv, keepsRandom });
    const [x, y, z] = [readAxis('X'), readAxis('Y'), readAxis('Z')];
    const count = x.values.length * y.values.length * z.values.length;
    checkSize(call.request, count, 1 + Number(withCells) + Number(withSubGrids));

    const base = { ...call.request, batch_size: 1, n_iter: 1 };
    if (keepsRandom && call.askedSeed < 0) base.seed = -1;
    const cells = listCells(x, y, z);
    const requests = cells.map((at) => {
      const changed = { ...base };
      for (const [k, { axis, values }] of [x, y, z].entries()) {
        Object.assign(changed, axis.apply(changed, values[at[k] as number], values));
      }
      return { ...changed, seed: varySeed(changed.seed, at, [x, y, z], varies) };
    });
    // Dear changes, such as another checkpoint, come as seldom as they can.
    const order = cells
      .map((at, i) => ({ at, i }))
      .sort((a, b) => compareCost(a.at, b.at, [x, y, z]) || a.i - b.i)
      .map(({ i }) => i);
    const made = await call.make(order.map((i) => requests[i] as typeof base));
    const pictures: (ScriptPicture | undefined)[] = new Array(count);
    order.forEach((i, k) => {
      pictures[i] = made[k]?.pictures[0];
    });
    const first = pictures.find((picture) => picture !== undefined);
    if (first === undefined) return { pictures: [], grids: 0, indexOfFirstImage: 0 };

    // What an interruption left out is white, so that the others stay where they belong.
    const whole = pictures.map((picture) => picture ?? { ...first, image: blank(first.image) });
    const perGrid = x.values.length * y.values.length;
    const subGrids = z.values.map((_, k) => {
      const part = whole.slice(k * perGrid, (k + 1) * perGrid);
      const image = makeLegendGrid(
        part.map((picture) => picture.image),
        {
          columns: x.values.length,
          margin,
          ...(hasLegend ? legend(x.captions, y.captions) : {}),
        },
      );
      return describeGrid(part[0] ?? first, image, [x, y]);
    });
    const main = makeLegendGrid(
      subGrids.map(({ image }) => image),
      { columns: subGrids.length, ...(hasLegend ? legend(z.captions, []) : {}) },
    );
    const grids = [describeGrid(first, main, [x, y, z]), ...(withSubGrids ? subGrids : [])];
    return {
      pictures: [...grids, ...(withCells ? whole : [])],
      grids: grids.length,
      // A1111 counts the grids as pictures here: its lists of seeds and prompts include them.
      indexOfFirstImage: 0,
    };
  },
};

function legend(columns: readonly string[], rows: readonly string[]) {
  return {
    columnCaptions: columns.map((text) => [{ text }]),
    rowCaptions: rows.map((text) => [{ text }]),
  };
}

function readValues<R extends ScriptRequest>(
  { tab, names }: ScriptCall<R>,
  read: ScriptArguments,
  name: keyof typeof AXIS_ARGUMENTS,
  { isCsv, keepsRandom }: { isCsv: boolean; keepsRandom: boolean },
): Values {
  const at = AXIS_ARGUMENTS[name];
  const axis = findAxis(tab, read, at, name);
  if (axis.label === 'Nothing') {
    return { axis, values: [0], captions: [''], text: '' };
  }
  const listed = read.texts(at + 2);
  // A text where a list is expected is what clients send that know no dropdowns.
  const isList = axis.choices !== undefined && !isCsv && listed.length > 0;
  const texts = isList ? listed : splitValues(read.text(at + 1, ''));
  let values: readonly unknown[] = axis.read(texts, names);
  if (axis.isSeed && !keepsRandom) {
    values = values.map((seed) => (seed === -1 ? randomInt(RANDOM_SEEDS) : seed));
  }
  if (values.length === 0 || values.length > MAX_AXIS_VALUES) {
    throw badArgument(
      `Expected 1-${MAX_AXIS_VALUES} values for the axis ${axis.label} but received ${values.length}.`,
    );
  }
  const captions = values.map(
    (value) => axis.caption?.(value) ?? `${axis.label}: ${String(value)}`,
  );
  return { axis, values, captions, text: isList ? listed.join(', ') : read.text(at + 1, '') };
}

/** An axis is named by its index, as A1111 wants it, or by its label. */
function findAxis(
  tab: ScriptCall['tab'],
  read: ScriptArguments,
  at: number,
  name: keyof typeof AXIS_ARGUMENTS,
): Axis {
  const axes = listAxes(tab);
  const asked = read.text(at, name === 'X' ? 'Seed' : 'Nothing');
  const index = readInteger(asked);
  const axis =
    index === undefined
      ? axes.find(({ label }) => label.toLowerCase() === asked.toLowerCase())
      : axes[index];
  if (axis !== undefined) return axis;
  throw badArgument(
    `Expected an axis 0-${axes.length - 1} for ${name} type of ${TITLE} but received ${asked}.`,
  );
}

/** Places of all cells, x fastest. */
function listCells(x: Values, y: Values, z: Values): [number, number, number][] {
  return z.values.flatMap((_z, iz) =>
    y.values.flatMap((_y, iy) => x.values.map((_x, ix): [number, number, number] => [ix, iy, iz])),
  );
}

function compareCost(a: readonly number[], b: readonly number[], axes: readonly Values[]): number {
  const dear = axes
    .map(({ axis }, k) => ({ cost: axis.cost ?? 0, k }))
    .filter(({ cost }) => cost > 0)
    .sort((left, right) => right.cost - left.cost);
  for (const { k } of dear) {
    const difference = (a[k] as number) - (b[k] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Counts the seed up along the axes that vary it. */
function varySeed(
  seed: number | null,
  at: readonly number[],
  axes: readonly Values[],
  varies: readonly boolean[],
): number | null {
  if (seed === null || seed < 0) return seed;
  let stride = 1;
  let sum = seed;
  for (const [k, isVarying] of varies.entries()) {
    if (!isVarying) continue;
    sum += (at[k] as number) * stride;
    stride *= axes[k]?.values.length ?? 1;
  }
  return sum;
}

function checkSize(request: ScriptRequest, count: number, copies: number): void {
  if (count > MAX_CELLS) {
    throw badArgument(`Expected at most ${MAX_CELLS} pictures for ${TITLE} but received ${count}.`);
  }
  const pixels = (request.width ?? 512) * (request.height ?? 512) * count * copies;
  if (pixels > MAX_REQUEST_PIXELS) {
    throw badArgument(
      `Expected at most ${MAX_REQUEST_PIXELS} pixels for the answer of ${TITLE} but received ${pixels}.`,
    );
  }
}

function blank({ width, height }: RgbImage): RgbImage {
  return { width, height, rgb: Buffer.alloc(width * height * 3, 255) };
}

/** A grid tells what its first picture tells, and the axes. */
function describeGrid(
  first: ScriptPicture,
  image: RgbImage,
  axes: readonly Values[],
): ScriptPicture {
  const fields = axes.flatMap(({ axis, values, text }, k): [string, string][] => {
    const name = 'XYZ'[k] as string;
    if (axis.label === 'Nothing') return [];
    const isDrawn = axis.isSeed === true && values.join(', ') !== text;
    return [
      [`${name} Type`, axis.label],
      [`${name} Values`, text],
      ...(isDrawn ? [[`Fixed ${name} Values`, values.join(', ')] as [string, string]] : []),
    ];
  });
  return {
    ...first,
    image,
    infotext: addInfotextFields(first.infotext, [['Script', TITLE], ...fields]),
  };
}
