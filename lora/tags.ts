/** What a prompt's tags ask for, as numbers. */
import { quoteName } from '../networks/checkpoint/errors.ts';
import { type BlockWeights, readBlockWeights } from './block-weights.ts';
import type { NetworkTag } from './syntax.ts';
import {
  readCurve,
  readNumber,
  type StepWindow,
  type WeightCurve,
  weightAt,
} from './weight-curve.ts';

/** A LoRA asked for; the name is a key of the catalogue, never a path. */
export interface LoraRequest {
  name: string;
  /** Weight of the text encoders' part; any finite number. */
  te: number;
  /** Weight of the UNet's part at the first step of the first picture. */
  unet: number;
  /** Ranks to use, from the first; null for all. */
  dyn: number | null;
  /** Weights of the UNet's part, one per picture of a batch, in turns; default: `unet` for all. */
  curves?: readonly WeightCurve[];
  /** Steps at which the UNet's part acts; default: all. */
  window?: StepWindow;
  /** Factors by block; default: 1. */
  blocks?: BlockWeights;
  /** The tag behind the name, where weights differ between steps, blocks, pictures or passes. */
  written?: string;
}

/** Requests in the order of the tags, and a sentence for each tag that is none. */
export interface LoraRequests {
  requests: LoraRequest[];
  messages: string[];
}

/** Which pass a tag is read for: it may say other weights for the second pass of a hires request. */
export type LoraPass = 'first' | 'hires';

const KINDS = new Set(['lora', 'lyco']);
const FIRST_STEP = { step: 0, steps: 1 };

/** One tag that cannot be followed. No Error: a prompt holds thousands, and a stack for each takes long. */
class TagFault {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

/**
 * Reads `<lora:name:te:unet:dyn>` tags; `te=`, `unet=` and `dyn=` win over positions, unet defaults to
 * te, te to 1. `lyco` means the same. Keys that are not known are passed over, as in the web UI. A
 * bad number switches off its own tag only (the web UI then switches off all of them).
 *
 * Further keys are those of popular extensions: weights over steps `weight@place,…` and `hr=`, `hrte=`,
 * `hrunet=` (sd-webui-loractl), `lbw=`, `start=`, `stop=`, `step=from-to` (sd-webui-lora-block-weight).
 * Ours: several UNet weights with `|` between, one per picture of a batch.
 *
 * @param tags  of `extractNetworkTags`; other kinds (hypernet) get a message
 */
export function readLoraTags(tags: readonly NetworkTag[], pass: LoraPass = 'first'): LoraRequests {
  const result: LoraRequests = { requests: [], messages: [] };
  for (const tag of tags) {
    const name = tag.args[0] ?? '';
    try {
      if (!KINDS.has(tag.kind)) throw new TagFault('networks of this kind are not supported');
      result.requests.push(readTag(tag, pass));
    } catch (error) {
      if (!(error instanceof TagFault)) throw error;
      result.messages.push(`${tag.kind} ${quoteName(name)} was not applied: ${error.message}`);
    }
  }
  return result;
}

function readTag({ args, named }: NetworkTag, pass: LoraPass): LoraRequest {
  const [name = '', ...positions] = args;
  const hires = (key: string) =>
    pass === 'hires' ? (named.get(key) ?? named.get('hr')) : undefined;
  // The block extension's older form has its preset where the UNet's weight would be.
  const oldBlocks = readBlockWeights(positions[1] ?? '') ? positions[1] : undefined;
  const teText = named.get('te') ?? positions[0] ?? '1';
  const unetText = named.get('unet') ?? (oldBlocks ? undefined : positions[1]) ?? teText;
  const te = weightAt(readWeight(hires('hrte') ?? teText), FIRST_STEP);
  const curves = (hires('hrunet') ?? unetText).split('|').map(readWeight);
  const dyn = named.get('dyn') ?? positions[2];
  if (dyn !== undefined && !/^\s*\d{1,9}\s*$/.test(dyn)) {
    throw new TagFault(`expected a whole number for dyn but received ${quoteName(dyn)}`);
  }
  const window = readWindow(named);
  const blocks = readBlocks(named.get('lbw') ?? oldBlocks);
  const isPlain = curves.length === 1 && typeof curves[0] === 'number';
  const hasPasses = ['hr', 'hrte', 'hrunet'].some((key) => named.has(key));
  const written = [...positions, ...[...named].map((pair) => pair.join('='))].join(':');
  return {
    ...{ name, te, unet: weightAt(curves[0] as WeightCurve, FIRST_STEP) },
    dyn: dyn === undefined ? null : Number(dyn),
    ...(!isPlain && { curves }),
    ...(window && { window }),
    ...(blocks && { blocks }),
    ...((!isPlain || window || blocks || hasPasses) && { written }),
  };
}

function readWeight(text: string): WeightCurve {
  const curve = readCurve(text);
  if (curve !== null) return curve;
  throw new TagFault(`expected a number for its weight but received ${quoteName(text)}`);
}

function readWindow(named: ReadonlyMap<string, string>): StepWindow | null {
  const range = named.get('step')?.split('-');
  const [start, stop] = range?.length === 2 ? range : [named.get('start'), named.get('stop')];
  if (start === undefined && stop === undefined) return null;
  const read = (text: string | undefined): number | null => {
    if (text === undefined) return null;
    const value = readNumber(text);
    if (value !== null && value >= 0) return value;
    throw new TagFault(`expected a step for start and stop but received ${quoteName(text)}`);
  };
  return { start: read(start), stop: read(stop) };
}

function readBlocks(text: string | undefined): BlockWeights | null {
  if (text === undefined) return null;
  const blocks = readBlockWeights(text);
  if (blocks) return blocks;
  throw new TagFault(
    `expected a preset or 12, 17, 20 or 26 numbers for lbw but received ${quoteName(text)}`,
  );
}
