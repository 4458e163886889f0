/** A file's modules against a checkpoint's layers: what goes where, or why the file is refused. */
import { quoteName } from '../networks/checkpoint/errors.ts';
import { nameBase } from './base.ts';
import { LoraError } from './errors.ts';
import type { LoraFile, LoraModule } from './file.ts';
import type { LayerFinder } from './keys.ts';
import type { Layer, NetworkLayers } from './layers.ts';
import { compareSizes } from './module-sizes.ts';

/** A module and the layer it changes. */
export interface Match {
  module: LoraModule;
  network: NetworkLayers;
  layer: Layer;
}

/** All of a file's modules. */
export interface Matches {
  matched: Match[];
  /** Names of modules whose layer the checkpoint does not have. */
  unmatched: string[];
}

/** A file with a greater share of modules without a layer is of another model. */
const MAX_UNMATCHED_SHARE = 0.5;

/** Names of text encoder modules. */
const TEXT_MODULE = /^(lora_te|lycoris_te|oft_te|text_encoder|text_model|clip_[lg]_)|text_model_/;

/**
 * Finds the layer of every module and compares the sizes.
 *
 * @throws LoraError OTHER_BASE when a size differs, when most modules of the file or all of the UNet's
 *   have no layer; DUPLICATE_LAYER; SHAPE_CONTRADICTION
 */
export function matchModules(lora: LoraFile, find: LayerFinder): Matches {
  const matched: Match[] = [];
  const unmatched: string[] = [];
  const taken = new Map<Layer, string>();
  for (const module of lora.modules) {
    const target = find(module.name);
    const layer = target?.network.layers.get(target.layer);
    if (!target || !layer) {
      unmatched.push(module.name);
      continue;
    }
    const other = taken.get(layer);
    if (other !== undefined) {
      throw new LoraError(
        'DUPLICATE_LAYER',
        `its modules ${quoteName(other)} and ${quoteName(module.name)} change the same layer`,
      );
    }
    taken.set(layer, module.name);
    checkSizes(lora, module, layer);
    matched.push({ module, network: target.network, layer });
  }
  refuseStrangers(lora, matched, unmatched);
  return { matched, unmatched };
}

function checkSizes(lora: LoraFile, module: LoraModule, layer: Layer): void {
  const sizes = compareSizes(module, layer);
  if (!sizes) return;
  throw new LoraError(
    'OTHER_BASE',
    `it is made for ${nameBase(lora) ?? 'another model'}: ${quoteName(module.name)} is ${sizes[0]} but the checkpoint's layer ${sizes[1]}`,
  );
}

function refuseStrangers(lora: LoraFile, matched: Match[], unmatched: string[]): void {
  const total = lora.modules.length;
  const isOfUnet = (name: string) => !TEXT_MODULE.test(name.replaceAll('.', '_'));
  const changesUnet = matched.some(({ network }) => network.role === 'unet');
  const isOther =
    unmatched.length / total > MAX_UNMATCHED_SHARE || (!changesUnet && unmatched.some(isOfUnet));
  if (!isOther) return;
  throw new LoraError(
    'OTHER_BASE',
    `it is made for ${nameBase(lora) ?? 'another model'}: the checkpoint has no layer for ${unmatched.length} of its ${total} modules, the first is ${quoteName(unmatched[0] as string)}`,
  );
}

/** Returns a sentence for modules without a layer, and one for tensors that are of no module. */
export function describeUnused(
  name: string,
  { unknownKeys }: LoraFile,
  { matched, unmatched }: Matches,
): string[] {
  const who = `lora ${quoteName(name)}`;
  const total = matched.length + unmatched.length;
  const [module] = unmatched;
  const [key] = unknownKeys;
  return [
    ...(module === undefined
      ? []
      : [
          `${who}: the checkpoint has no layer for ${unmatched.length} of its ${total} modules, the first is ${quoteName(module)}`,
        ]),
    ...(key === undefined
      ? []
      : [
          `${who}: ${unknownKeys.length} of its tensors are of no kind of LoRA and not used, the first is ${quoteName(key)}`,
        ]),
  ];
}
