/**
 * LoRA files of every kind in every naming, as `tests/fixtures/lora-grid/record_grid.py` describes them.
 * Names come from diffusers' and transformers' modules, values from names: nothing of ours decides either.
 */
import path from 'node:path';
import grid from '../fixtures/lora-grid/grid.json' with { type: 'json' };
import { type SmallTensor, writeTensorFile } from './write-tensors.ts';

export type GridBase = keyof typeof grid.bases;
export type GridKind = keyof (typeof grid.bases)['sd15']['kinds'];

/**
 * `kohya`: as kohya's trainer writes for the base; `other`: with the other base's names of UNet blocks; `dotted`:
 * diffusers' names before LyCORIS' parts; the rest: diffusers' files, newest first.
 */
export type GridNaming = 'kohya' | 'other' | 'dotted' | 'peft' | 'diffusers' | 'processor';

/** Shape, scale and mean of a tensor. */
type Part = [shape: number[], scale: number, mean: number];
interface Base {
  names: Record<string, Record<'kohya' | 'other' | 'dotted', string> & { processor?: string }>;
  kinds: Record<GridKind, Record<string, Record<string, Part>>>;
  stacks: Record<string, number>[];
}

export const GRID_WEIGHTS: readonly number[] = grid.weights;
export const GRID_KINDS = Object.keys(grid.bases.sd15.kinds) as GridKind[];
const BASES = grid.bases as unknown as Record<GridBase, Base>;

/** The stacks of a base: kind → weight, in the order of the tags. */
export const gridStacks = (base: GridBase): Record<string, number>[] => BASES[base].stacks;

/** The namings in which a kind's files exist. */
export function namingsOf(kind: GridKind): GridNaming[] {
  const everywhere: GridNaming[] = ['kohya', 'other', 'dotted'];
  if (kind === 'projections') return [...everywhere, 'peft', 'diffusers', 'processor'];
  return /^(lora|locon|dora-rows)$/.test(kind) ? [...everywhere, 'peft'] : everywhere;
}

/** Uniform noise from a name, as `values` of the script. */
function valuesOf(name: string, [shape, scale, mean]: Part): number[] {
  let seed = 0x811c9dc5;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 0x01000193) >>> 0;
  return Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
    let h = (Math.imul(i, 0x9e3779b9) + seed) >>> 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
    h = (h ^ (h >>> 16)) >>> 0;
    return mean + scale * ((h >>> 8) / 2 ** 23 - 1);
  });
}

/** What diffusers calls kohya's parts; alpha stands in the metadata. */
const PEFT_PARTS: Record<string, string> = {
  'lora_up.weight': 'lora_B.weight',
  'lora_down.weight': 'lora_A.weight',
  dora_scale: 'lora_magnitude_vector',
};

function keyOf(naming: GridNaming, names: Base['names'][string], part: string): string {
  const side = part.includes('up') ? 'up' : 'down';
  switch (naming) {
    case 'peft':
      return `${names.dotted}.${PEFT_PARTS[part]}`;
    case 'diffusers': {
      const infix = names.dotted.startsWith('unet.') ? 'lora' : 'lora_linear_layer';
      return `${names.dotted}.${infix}.${side}.weight`;
    }
    case 'processor':
      return `${names.processor}_lora.${side}.weight`;
    default:
      return `${names[naming]}.${part}`;
  }
}

/** Writes a kind's file and returns its path. */
export function writeGridFile(
  folder: string,
  base: GridBase,
  kind: GridKind,
  naming: GridNaming,
): string {
  const { names, kinds } = BASES[base];
  const tensors: Record<string, SmallTensor> = {};
  const metadata: Record<string, unknown> = {};
  for (const [layer, parts] of Object.entries(kinds[kind])) {
    for (const [part, spec] of Object.entries(parts)) {
      if (naming === 'peft' && part === 'alpha') {
        const owner = names[layer]?.dotted.split('.', 1)[0];
        metadata[`${owner}.lora_alpha`] = spec[2];
        continue;
      }
      const key = keyOf(naming, names[layer] as Base['names'][string], part);
      const values = valuesOf(`${base} ${kind} ${layer} ${part}`, spec);
      // PEFT keeps one number per row and no more axes.
      const shape = naming === 'peft' && part === 'dora_scale' ? [values.length] : spec[0];
      tensors[key] = { shape, values, ...(part === 'on_input' && { dtype: 'BOOL' }) };
    }
  }
  const file = path.join(folder, `${kind}.${naming}.safetensors`);
  return writeTensorFile(file, tensors, { lora_adapter_metadata: JSON.stringify(metadata) });
}
