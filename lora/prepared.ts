/** A LoRA of a request, read and matched to a checkpoint's layers. */
import { quoteName } from '../networks/checkpoint/errors.ts';
import { deriveFactors, isLowRank } from './derived-factors.ts';
import { LoraError } from './errors.ts';
import { type Factors, readFactors, widenFactors } from './factors.ts';
import { type FedFactors, packFactors, readFedFactors } from './fed-factors.ts';
import type { LoraFile, LoraModule } from './file.ts';
import type { LayerFinder } from './keys.ts';
import { sizeOf } from './kinds/algebra.ts';
import type { Layer } from './layers.ts';
import { type Match, type Matches, matchModules } from './match.ts';
import { readParts, scaleOf } from './merge.ts';
import type { LoadedLora, LoraStore } from './store.ts';
import type { LoraRequest } from './tags.ts';

/** A request whose file is known and fits. */
export interface Prepared {
  request: LoraRequest;
  loaded: LoadedLora;
  matches: Matches;
  /** Layers of which a later LoRA's change depends on the weight: this one is merged there, too. */
  seen: Set<Layer>;
}

/**
 * Reads what a request needs of its file, and finds the layers that it changes.
 *
 * @param path      real path of the file
 * @param find      makes the finder when it is needed
 * @param canMerge  whether modules that are not low-rank will be merged; else they are refused
 * @throws LoraError, CheckpointError
 */
export async function prepare(
  request: LoraRequest,
  path: string,
  find: () => LayerFinder,
  store: LoraStore,
  canMerge: boolean,
): Promise<Prepared> {
  const loaded = await store.open(path);
  // A file that is refused is compared again, for its sentence.
  loaded.matches ??= matchModules(loaded.lora, find());
  const { matches } = loaded;
  const merged = matches.matched.find((match) => !isFed(match));
  if (merged && !canMerge) {
    throw new LoraError(
      'NEEDS_MERGE',
      `its module ${quoteName(merged.module.name)} of kind ${merged.module.kind} would have to be merged into the weights, which is not possible here`,
    );
  }
  const fed = new Map(
    matches.matched.filter((match) => isFed(match)).map(({ module, layer }) => [module, layer]),
  );
  await store.readFactors(loaded, [...fed.keys()], (lora, module) =>
    readFittingFactors(lora, module, fed.get(module) as Layer),
  );
  return { request, loaded, matches, seen: new Set() };
}

function readFittingFactors(lora: LoraFile, module: LoraModule, layer: Layer): FedFactors {
  const asTheyAre = module.kind === 'lora' && readFedFactors(lora, module, layer);
  return asTheyAre || packFactors(fitFactors(readAnyFactors(lora, module), module, layer));
}

function readAnyFactors(lora: LoraFile, module: LoraModule): Factors {
  if (module.kind === 'lora') return readFactors(lora, module);
  const parts = readParts(lora, module);
  return deriveFactors(module, parts, scaleOf(lora, module, parts));
}

/** @throws LoraError SHAPE_CONTRADICTION: a feed of a wrong size would fail the whole run */
function fitFactors(factors: Factors, { name }: LoraModule, layer: Layer): Factors {
  const { up, down, rank } = factors;
  // What `compareSizes` could not see.
  const columns = layer.in * sizeOf(layer.kernel) * rank;
  if (up.length !== layer.out * rank || down.length > columns)
    throw new LoraError('SHAPE_CONTRADICTION', `${quoteName(name)} does not fit its layer`);
  return widenFactors(factors, layer);
}

/** Whether a match becomes a pair of inputs; else it is merged. */
export function isFed({ module, layer }: Match, seen?: ReadonlySet<Layer>): boolean {
  return layer.hasPort && isLowRank(module) && !seen?.has(layer);
}
