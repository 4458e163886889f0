/** From requests to the feeds of a checkpoint's networks. */
import { CheckpointError, quoteName } from '../networks/checkpoint/errors.ts';
import type { LoraFeeds } from './compose.ts';
import { LoraError } from './errors.ts';
import { createLayerFinder, type LayerFinder } from './keys.ts';
import type { ModelLayers } from './layers.ts';
import { describeUnused } from './match.ts';
import type { Merge } from './merge.ts';
import { type Prepared, prepare } from './prepared.ts';
import { commonPeriod, unetWeightAt, varies, type WeightPlace } from './request-weights.ts';
import { collectMerges, collectShares, describeFixed, fingerprint, markSeen } from './shares.ts';
import type { LoraStore } from './store.ts';
import type { LoraRequest } from './tags.ts';

/** A LoRA file as the catalogue resolved it. */
export interface LoraRef {
  /** As a tag of the job's prompt says it. */
  name: string;
  /** Absolute path with symbolic links resolved. */
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
 * @param canMerge  see `PlanOptions`
 * @throws only what is no fault of the files
 */
export async function planLoras(
  requests: readonly LoraRequest[],
  findRef: (name: string) => LoraRef | null,
  model: ModelLayers,
  store: LoraStore,
  { canMerge = false }: PlanOptions = {},
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
      const one = await prepare(request, ref.path, find, store, canMerge);
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
