/** From requests to the feeds of a checkpoint's networks. */
import { CheckpointError, quoteName } from '../networks/checkpoint/errors.ts';
import { blockWeight } from './block-weights.ts';
import type { LoraFeeds, Share } from './compose.ts';
import { deriveFactors, isLowRank } from './derived-factors.ts';
import { LoraError } from './errors.ts';
import { type Factors, readFactors, widenFactors } from './factors.ts';
import { type FedFactors, packFactors, readFedFactors } from './fed-factors.ts';
import type { LoraFile, LoraModule } from './file.ts';
import { createLayerFinder, type LayerFinder } from './keys.ts';
import { sizeOf } from './kinds/algebra.ts';
import type { Layer, ModelLayers } from './layers.ts';
import { describeUnused, type Match, type Matches, matchModules } from './match.ts';
import { type Merge, readParts, scaleOf } from './merge.ts';
import type { Kind } from './parts.ts';
import { commonPeriod, unetWeightAt, varies, type WeightPlace } from './request-weights.ts';
import type { LoadedLora, LoraStore } from './store.ts';
import type { LoraRequest } from './tags.ts';

/** A LoRA file as the catalogue resolved it. */
export interface LoraRef {
  /** What answers call it. */
  name: string;
  /** Real path. */
  path: string;
  /** 12 hex digits for the infotext's `Lora hashes`; null while it is not known. */
  hash: string | null;
}

/** What was applied, as infotext and `info` tell it. */
export interface AppliedLora {
  /** As the tag said it. */
  name: string;
  hash: string | null;
  teWeight: number;
  /** The tag behind the name, where it says more than two weights. */
  written?: string;
  unetWeight: number;
  dyn: number | null;
}

/** Weights by position in `LoraPlan.applied`, instead of those of the tags. */
export type LoraWeights = readonly number[];

/** What a job's LoRAs do to a checkpoint. */
export interface LoraPlan {
  applied: readonly AppliedLora[];
  /** One sentence for each LoRA that was not applied, or not wholly. */
  messages: readonly string[];
  /**
   * Returns the feeds of one network; undefined when no LoRA changes it.
   *
   * Weights of 0 are not fed at all, so the result is bit-identical to that without the LoRA.
   *
   * @param prefix   of the network in the checkpoint, as `UnetConfig` and `TextEncoderConfig` have it
   * @param weights  one for each of `applied`; default: the tags' (unet at the first step, or te)
   */
  feeds(prefix: string, weights?: LoraWeights): LoraFeeds | undefined;
  /**
   * Returns what has to be merged into the weights of one network, for `mergeTensors`; empty when
   * all that is applied is low-rank. Only plans made with `canMerge` have any.
   */
  merges(prefix: string, weights?: LoraWeights): Merge[];
  /**
   * Returns a text that is the same whenever the tags' LoRAs change one network in the same way: the
   * files as they were read, weights and ranks. Empty when none changes it.
   */
  fingerprint(prefix: string): string;
  /** Whether UNet weights differ between steps or pictures; if not, `feeds` needs no weights. */
  varies: boolean;
  /** Pictures after which weights repeat; those of picture i and i + period are equal. */
  period: number;
  /** Returns the UNet weights of one picture at one step, for `feeds`. */
  weightsAt(place: WeightPlace): LoraWeights;
}

/** What the caller of `planLoras` can do. */
export interface PlanOptions {
  /**
   * Whether it will merge what `merges` returns. If not (the default), files with such modules are
   * refused as a whole.
   */
  canMerge?: boolean;
}

/** A request whose file is known and fits. */
interface Prepared {
  request: LoraRequest;
  loaded: LoadedLora;
  matches: Matches;
  /** Layers of which a later LoRA's change depends on the weight: this one is merged there, too. */
  seen: Set<Layer>;
}

/**
 * Plans the LoRAs of a job: reads headers, finds the layers, reads factors.
 *
 * Nothing here fails a job: a LoRA that is missing, damaged or made for another base model is left
 * out as a whole, with a message. The same file asked for twice is applied twice, both times with
 * the last weights, as in the web UI.
 *
 * @param requests  in the order of the tags
 * @param findRef   looks a name up; `findLora` of the catalogue, or what the job brought along
 * @param model     the checkpoint's layers
 * @param store     keeps files between jobs; one store per `model`
 * @param options   what the caller can do; default: feeds only
 * @throws only what is no fault of the files
 */
export async function planLoras(
  requests: readonly LoraRequest[],
  findRef: (name: string) => LoraRef | null,
  model: ModelLayers,
  store: LoraStore,
  options: PlanOptions = {},
): Promise<LoraPlan> {
  const messages: string[] = [];
  const applied: AppliedLora[] = [];
  const prepared: Prepared[] = [];
  let finder: LayerFinder | null = null;
  const find = () => {
    finder ??= createLayerFinder(model);
    return finder;
  };
  const found = requests.map((request) => ({ request, ref: findRef(request.name) }));
  const last = new Map(found.map(({ request, ref }) => [ref?.path, request]));
  for (const { request: asked, ref } of found) {
    if (!ref) continue;
    const request = { ...(last.get(ref.path) ?? asked), name: asked.name };
    try {
      const one = await prepare(request, ref, find, store, options);
      messages.push(...describeUnused(asked.name, one.loaded.lora, one.matches));
      prepared.push(one);
      const { name, te: teWeight, unet: unetWeight, dyn, written } = request;
      applied.push({
        ...{ name, hash: ref.hash, teWeight, unetWeight, dyn },
        ...(written !== undefined && { written }),
      });
    } catch (error) {
      if (!(error instanceof LoraError) && !(error instanceof CheckpointError)) throw error;
      messages.push(`lora ${quoteName(asked.name)} was not applied: ${error.message}`);
    }
  }
  markSeen(prepared);
  for (const one of prepared) messages.push(...describeFixed(one));
  const missing = found.filter(({ ref }) => !ref).map(({ request }) => request.name);
  // The web UI's words.
  if (missing.length > 0) messages.push(`Networks not found: ${missing.join(', ')}`);
  const roles = new Map(model.map(({ prefix, role }) => [prefix, role]));
  const weightsOf = (prefix: string, weights: LoraWeights | undefined): number[] => {
    const own = roles.get(prefix) === 'unet' ? 'unet' : 'te';
    return prepared.map(({ request }, i) => weights?.[i] ?? request[own]);
  };
  return {
    applied,
    messages,
    feeds(prefix, weights) {
      const shares = collectShares(prepared, prefix, weightsOf(prefix, weights));
      return shares.size > 0 ? store.composer(prefix).compose(shares) : undefined;
    },
    merges: (prefix, weights) => collectMerges(prepared, prefix, weightsOf(prefix, weights)),
    fingerprint: (prefix) => fingerprint(prepared, prefix, weightsOf(prefix, undefined)),
    varies: prepared.some(({ request }) => varies(request)),
    period: commonPeriod(prepared.map(({ request }) => request)),
    weightsAt: (place) => prepared.map(({ request }) => unetWeightAt(request, place)),
  };
}

function fingerprint(
  prepared: readonly Prepared[],
  prefix: string,
  weights: readonly number[],
): string {
  const parts = prepared.flatMap(({ request, loaded, matches }, i) => {
    const reaches = matches.matched.some(({ network }) => network.prefix === prefix);
    if (!reaches || weights[i] === 0) return [];
    const { path, bytes, mtimeMs, inode } = loaded.lora.file;
    return [[path, bytes, mtimeMs, inode, weights[i], request.dyn, [...(request.blocks ?? [])]]];
  });
  return parts.length === 0 ? '' : JSON.stringify(parts);
}

async function prepare(
  request: LoraRequest,
  ref: LoraRef,
  find: () => LayerFinder,
  store: LoraStore,
  { canMerge = false }: PlanOptions,
): Promise<Prepared> {
  const loaded = await store.open(ref.path);
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
function isFed({ module, layer }: Match, seen?: ReadonlySet<Layer>): boolean {
  return layer.hasPort && isLowRank(module) && !seen?.has(layer);
}

/** Kinds whose change is a function of the weight that they find. */
const LOOKS_AT_WEIGHT: ReadonlySet<Kind> = new Set(['ia3', 'glora', 'oft']);

/** Marks the layers where LoRAs have to be merged because one after them looks at the weight. */
function markSeen(prepared: readonly Prepared[]): void {
  const looked = new Set<Layer>();
  for (const { matches, seen } of [...prepared].reverse()) {
    for (const { layer } of matches.matched) if (looked.has(layer)) seen.add(layer);
    for (const { module, layer } of matches.matched) {
      if (LOOKS_AT_WEIGHT.has(module.kind) || module.parts.has('dora_scale')) looked.add(layer);
    }
  }
}

/** A sentence when a weight that is to change meets modules that are merged. */
function describeFixed({ request, matches: { matched }, seen }: Prepared): string[] {
  const fixed = matched.find((match) => !isFed(match, seen));
  if (!fixed || !varies(request)) return [];
  return [
    `lora ${quoteName(request.name)}: its modules of kind ${fixed.module.kind} are merged and keep the weight ${request.unet} at every step and in every picture`,
  ];
}

/**
 * Ranks of a module to use; null for all. As in the web UI, a core tensor is never cut; derived factors
 * have no order of importance that a cut could follow.
 */
function dynOf({ dyn }: LoraRequest, { kind, parts }: LoraModule): number | null {
  return kind === 'lora' && !parts.has('mid') ? dyn : null;
}

/** Shares by layer, in the order of the requests; without those that change nothing. */
function collectShares(
  prepared: readonly Prepared[],
  prefix: string,
  weights: readonly number[],
): Map<string, Share[]> {
  const shares = new Map<string, Share[]>();
  prepared.forEach(({ request, loaded, matches, seen }, i) => {
    const weight = weights[i] as number;
    for (const match of matches.matched) {
      const { module, network, layer } = match;
      if (network.prefix !== prefix || !isFed(match, seen)) continue;
      const factors = loaded.factors.get(module.name) as FedFactors;
      const dyn = dynOf(request, module);
      const rank = Math.min(factors.rank, dyn === null ? factors.rank : dyn * factors.terms);
      const scale = weight * factors.scale * blockWeight(request.blocks, network, layer);
      // A share whose weight comes and goes stays in the set, so that it is put together once.
      if (rank === 0 || (scale === 0 && !varies(request))) continue;
      const own = shares.get(layer.name);
      if (own) own.push({ factors, scale, rank });
      else shares.set(layer.name, [{ factors, scale, rank }]);
    }
  });
  return shares;
}

function collectMerges(
  prepared: readonly Prepared[],
  prefix: string,
  weights: readonly number[],
): Merge[] {
  return prepared.flatMap(({ request, loaded, matches, seen }, i) =>
    matches.matched
      .filter((match) => match.network.prefix === prefix && !isFed(match, seen))
      .map(({ module, network, layer }) => {
        const weight = (weights[i] as number) * blockWeight(request.blocks, network, layer);
        return { layer, lora: loaded.lora, module, weight, dyn: dynOf(request, module) };
      })
      .filter(({ weight }) => weight !== 0),
  );
}
