/** What each LoRA of a plan gives to the layers of one network: factors to feed, or a merge. */
import { quoteName } from '../networks/checkpoint/errors.ts';
import { blockWeight } from './block-weights.ts';
import type { Share } from './compose.ts';
import type { FedFactors } from './fed-factors.ts';
import type { LoraModule } from './file.ts';
import type { Layer } from './layers.ts';
import type { Merge } from './merge.ts';
import type { Kind } from './parts.ts';
import { isFed, type Prepared } from './prepared.ts';
import { varies } from './request-weights.ts';
import type { LoraRequest } from './tags.ts';

/** Kinds whose change is a function of the weight that they find. */
const LOOKS_AT_WEIGHT: ReadonlySet<Kind> = new Set(['ia3', 'glora', 'oft']);

/** Marks the layers where LoRAs have to be merged because one after them looks at the weight. */
export function markSeen(prepared: readonly Prepared[]): void {
  const looked = new Set<Layer>();
  for (const { matches, seen } of [...prepared].reverse()) {
    for (const { layer } of matches.matched) if (looked.has(layer)) seen.add(layer);
    for (const { module, layer } of matches.matched) {
      if (LOOKS_AT_WEIGHT.has(module.kind) || module.parts.has('dora_scale')) looked.add(layer);
    }
  }
}

/** A sentence when a weight that is to change meets modules that are merged. */
export function describeFixed({ request, matches: { matched }, seen }: Prepared): string[] {
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
export function collectShares(
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

/** Modules to merge into the layers of one network, in the order of the requests. */
export function collectMerges(
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

/** Returns a text that is the same whenever the LoRAs change one network in the same way; '' for none. */
export function fingerprint(
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
