import { CheckpointError } from '../checkpoint/errors.ts';
import type { SafetensorsFile } from '../checkpoint/safetensors.ts';
import {
  checkNothingLeft,
  checkTensors,
  type ExpectedTensors,
  hasTensor,
  shapeOf,
} from '../checkpoint/shapes.ts';
import { layerName, type RrdbConfig, type RrdbLayout } from './config.ts';

const COLOURS = 3;
const DENSE_BLOCKS = 3;
const DENSE_CONVS = 5;
/** More growth stages than any file has. */
const MAX_UPS = 4;

/** BasicSR's names, which Real-ESRGAN's files have. */
const BASICSR = {
  first: 'conv_first',
  dense: 'body.{n}.rdb{k}.conv{c}',
  shortcut: 'body.{n}.rdb{k}.conv1x1',
  trunk: 'conv_body',
  up: 'conv_up',
  high: 'conv_hr',
  last: 'conv_last',
} as const;
/** Names of the ESRGAN repository. */
const ESRGAN = {
  first: 'conv_first',
  dense: 'RRDB_trunk.{n}.RDB{k}.conv{c}',
  shortcut: 'RRDB_trunk.{n}.RDB{k}.conv1x1',
  trunk: 'trunk_conv',
  up: 'upconv',
  high: 'HRconv',
  last: 'conv_last',
} as const;

/**
 * Reads an RRDBNet's structure and checks it; null when the names are of something else.
 *
 * @throws CheckpointError UPSCALER_INCOMPLETE, SHAPE_CONTRADICTION, UNEXPECTED_TENSOR,
 *   NOT_AN_UPSCALER, QUANTIZED or DTYPE_UNSUPPORTED
 */
export function readRrdbConfig(file: SafetensorsFile, prefix: string): RrdbConfig | null {
  const layout = findLayout(file, prefix);
  if (layout === null) return null;
  const shape = (name: string) =>
    shapeOf(file, `${prefix}${name}.weight`, 4, 'UPSCALER_INCOMPLETE');
  const [width = 0, inputs = 0] = shape(layout.first);
  const [outputs = 0] = shape(layout.last);
  const [growth = 0] = shape(layerName(layout.dense, 0, 1, 1));
  const unshuffle = Math.sqrt(inputs / COLOURS);
  if (outputs !== COLOURS || !Number.isInteger(unshuffle)) {
    throw new CheckpointError(
      'NOT_AN_UPSCALER',
      file.path,
      `Expected three colours but the upscaler takes ${inputs} channels and gives ${outputs}.`,
    );
  }
  const upFactors = layout.ups.map((name) => {
    const factor = Math.sqrt((shape(name)[0] ?? 0) / width);
    return factor > 1 ? { factor, isShuffled: true } : { factor: 2, isShuffled: false };
  });
  const grown = upFactors.reduce((product, { factor }) => product * factor, 1);
  const config: RrdbConfig = {
    architecture: 'rrdb',
    prefix,
    layout,
    blocks: countBlocks(file, prefix, layout),
    width,
    upFactors,
    hasShortcuts: hasTensor(file, `${prefix}${layerName(layout.shortcut, 0, 1)}.weight`),
    unshuffle,
    scale: grown / unshuffle,
  };
  const expected = expectedTensors(config, inputs, growth);
  checkTensors(file, expected, 'UPSCALER_INCOMPLETE', 'the upscaler');
  checkNothingLeft(file, expected, prefix, /./, 'The upscaler');
  return config;
}

function findLayout(file: SafetensorsFile, prefix: string): RrdbLayout | null {
  for (const { up, ...names } of [BASICSR, ESRGAN]) {
    if (!hasTensor(file, `${prefix}${layerName(names.dense, 0, 1, 1)}.weight`)) continue;
    const ups: string[] = [];
    while (ups.length < MAX_UPS && hasTensor(file, `${prefix}${up}${ups.length + 1}.weight`)) {
      ups.push(`${up}${ups.length + 1}`);
    }
    return { ...names, ups };
  }
  return findNumberedLayout(file, prefix);
}

/**
 * The first ESRGAN files number their layers: 0 the first convolution, 1 the blocks with the trunk
 * convolution as their last part, then those that grow, and two at the end.
 */
function findNumberedLayout(file: SafetensorsFile, prefix: string): RrdbLayout | null {
  const dense = 'model.1.sub.{n}.RDB{k}.conv{c}.0';
  if (!hasTensor(file, `${prefix}${layerName(dense, 0, 1, 1)}.weight`)) return null;
  const numbers: number[] = [];
  for (const name of file.tensors.keys()) {
    if (!name.startsWith(prefix)) continue;
    const number = /^model\.(\d{1,3})\.weight$/.exec(name.slice(prefix.length))?.[1];
    if (number !== undefined && Number(number) > 1) numbers.push(Number(number));
  }
  const names = numbers.sort((a, b) => a - b).map((number) => `model.${number}`);
  const [high, last] = names.splice(-2);
  if (high === undefined || last === undefined || names.length > MAX_UPS) {
    throw new CheckpointError(
      'UPSCALER_INCOMPLETE',
      file.path,
      `Expected 2 to ${2 + MAX_UPS} convolutions after the blocks but found ${numbers.length}.`,
    );
  }
  const layout = { first: 'model.0', dense, shortcut: 'model.1.sub.{n}.RDB{k}.conv1x1' };
  const blocks = countBlocks(file, prefix, layout);
  return { ...layout, trunk: `model.1.sub.${blocks}`, ups: names, high, last };
}

function countBlocks(
  file: SafetensorsFile,
  prefix: string,
  { dense }: Pick<RrdbLayout, 'dense'>,
): number {
  let blocks = 0;
  while (hasTensor(file, `${prefix}${layerName(dense, blocks, 1, 1)}.weight`)) blocks++;
  return blocks;
}

function expectedTensors(config: RrdbConfig, inputs: number, growth: number): ExpectedTensors {
  const { prefix, layout, width } = config;
  const expected: ExpectedTensors = new Map();
  const add = (name: string, out: number, from: number) => {
    expected.set(`${prefix}${name}.weight`, [out, from, 3, 3]);
    expected.set(`${prefix}${name}.bias`, [out]);
  };
  add(layout.first, width, inputs);
  for (let n = 0; n < config.blocks; n++) {
    for (let k = 1; k <= DENSE_BLOCKS; k++) {
      for (let c = 1; c <= DENSE_CONVS; c++) {
        const out = c < DENSE_CONVS ? growth : width;
        add(layerName(layout.dense, n, k, c), out, width + (c - 1) * growth);
      }
      const shortcut = `${prefix}${layerName(layout.shortcut, n, k)}.weight`;
      if (config.hasShortcuts) expected.set(shortcut, [growth, width, 1, 1]);
    }
  }
  add(layout.trunk, width, width);
  for (const [i, name] of layout.ups.entries()) {
    const { factor, isShuffled } = config.upFactors[i] as RrdbConfig['upFactors'][number];
    add(name, isShuffled ? width * factor ** 2 : width, width);
  }
  add(layout.high, width, width);
  add(layout.last, COLOURS, width);
  return expected;
}
