/** What a prompt's tags ask for, as numbers. */
import { quoteName } from '../networks/checkpoint/errors.ts';
import type { NetworkTag } from './syntax.ts';

/** A LoRA asked for; the name is a key of the catalogue, never a path. */
export interface LoraRequest {
  name: string;
  /** Weights of the text encoders' and of the UNet's part; any finite number. */
  te: number;
  unet: number;
  /** Ranks to use, from the first; null for all. */
  dyn: number | null;
}

/** Requests in the order of the tags, and a sentence for each tag that is none. */
export interface LoraRequests {
  requests: LoraRequest[];
  messages: string[];
}

const KINDS = new Set(['lora', 'lyco']);
const KNOWN_KEYS = new Set(['te', 'unet', 'dyn']);
/** Decimal numbers as Python reads them; no `inf`, no `nan`. */
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

/**
 * Reads `<lora:name:te:unet:dyn>` tags; `te=`, `unet=` and `dyn=` win over positions, unet defaults to
 * te, te to 1. `lyco` means the same. A bad number switches off its own tag only (the web UI then
 * switches off all of them).
 *
 * @param tags  of `extractNetworkTags`; other kinds (hypernet) get a message
 */
export function readLoraTags(tags: readonly NetworkTag[]): LoraRequests {
  const result: LoraRequests = { requests: [], messages: [] };
  for (const { kind, args, named } of tags) {
    const [name = '', ...positions] = args;
    const refuse = (why: string) =>
      result.messages.push(`${kind} ${quoteName(name)} was not applied: ${why}`);
    if (!KINDS.has(kind)) {
      refuse('networks of this kind are not supported');
      continue;
    }
    const strange = [...named.keys()].find((key) => !KNOWN_KEYS.has(key));
    if (strange !== undefined) {
      refuse(`expected te, unet or dyn but received the key ${quoteName(strange)}`);
      continue;
    }
    const te = named.get('te') ?? positions[0] ?? '1';
    const unet = named.get('unet') ?? positions[1] ?? te;
    const dyn = named.get('dyn') ?? positions[2];
    const bad = [te, unet].find((text) => !isNumber(text));
    if (bad !== undefined) {
      refuse(`expected a number for its weight but received ${quoteName(bad)}`);
    } else if (dyn !== undefined && !/^\s*\d{1,9}\s*$/.test(dyn)) {
      refuse(`expected a whole number for dyn but received ${quoteName(dyn)}`);
    } else {
      const rank = dyn === undefined ? null : Number(dyn);
      result.requests.push({ name, te: Number(te), unet: Number(unet), dyn: rank });
    }
  }
  return result;
}

function isNumber(text: string): boolean {
  return NUMBER.test(text) && Number.isFinite(Number(text));
}

/** An item of the `lora` field that stable-diffusion.cpp's and koboldcpp's clients send. */
export interface LoraFieldItem {
  /** File name with or without extension and folder; `name` is the same. */
  path?: string | undefined;
  name?: string | undefined;
  multiplier: number;
}

/**
 * Reads a request's `lora` field.
 *
 * A path that some client made up on its own machine still names the file: its last part counts
 * where the whole does not, see `findLora`.
 */
export function readLoraField(items: readonly LoraFieldItem[]): LoraRequests {
  const result: LoraRequests = { requests: [], messages: [] };
  for (const { path, name, multiplier } of items) {
    const key = name || path || '';
    if (key === '') result.messages.push('a LoRA without name and path was not applied');
    else if (!Number.isFinite(multiplier)) {
      result.messages.push(
        `lora ${quoteName(key)} was not applied: expected a finite number for its multiplier`,
      );
    } else result.requests.push({ name: key, te: multiplier, unet: multiplier, dyn: null });
  }
  return result;
}
