/** What a LoRA changes and how strongly, part by part. */
import { setImmediate } from 'node:timers/promises';
import { CheckpointError } from '../../networks/checkpoint/errors.ts';
import { LoraError } from '../errors.ts';
import { type LoraFile, type LoraModule, readPart } from '../file.ts';
import type { Kind, Part } from '../parts.ts';
import { type Place, placeOf } from './blocks.ts';
import { measureModule } from './norms.ts';

/** Milliseconds that measuring may take; a LoRA for all of SDXL at rank 64 takes a third of it. */
const MAX_MEASURE_MS = 20_000;

/** The tensors whose first axis is the rank, by kind; others have none. */
const RANK_PARTS: Partial<Record<Kind, readonly Part[]>> = {
  lora: ['down'],
  loha: ['hada_w1_b'],
  lokr: ['lokr_w2_b', 'lokr_w1_b'],
};

/** One row: the modules of one kind of layer in one part of one network. */
export interface PartRow extends Place {
  modules: number;
  /** Frobenius norm of all their changes together at weight 1; null when it was not measured. */
  norm: number | null;
  /** Share of the squared norm of all parts, 0 … 1. */
  share: number | null;
}

/** What `measureStrength` found. */
export interface Strength {
  parts: PartRow[];
  /** Mean norm of one module's change at weight 1: what kohya's trainers print and limit. */
  averageNorm: number | null;
  /** Root mean square of the change of one number of the weights. */
  rms: number | null;
  /** Modules that were measured. */
  measured: number;
  /** alpha of the modules, each value once, with how many modules have it. */
  alphas: { alpha: number; modules: number }[];
  /** Why modules were not measured; empty when all were. */
  notes: string[];
}

/** Returns the rank of a module; null for kinds without. */
export function rankOf({ kind, parts }: LoraModule): number | null {
  const part = RANK_PARTS[kind]?.find((name) => parts.has(name));
  return (part && parts.get(part)?.shape[0]) ?? null;
}

/** Counts modules by part of the network, without reading data. */
export function listParts(lora: LoraFile): PartRow[] {
  const rows = new Map<string, PartRow>();
  for (const { name } of lora.modules) {
    const place = placeOf(name);
    const key = Object.values(place).join();
    const row = rows.get(key) ?? { ...place, modules: 0, norm: null, share: null };
    row.modules += 1;
    rows.set(key, row);
  }
  return [...rows.values()];
}

/**
 * Measures every module, one after the other, while other work goes on.
 *
 * @throws only what is no fault of the file
 */
export async function measureStrength(lora: LoraFile): Promise<Strength> {
  const parts = listParts(lora);
  const rows = new Map(parts.map((row) => [keyOf(row), row]));
  const squares = new Map<PartRow, number>();
  const alphas = new Map<number, number>();
  const notes = new Set<string>();
  const end = performance.now() + MAX_MEASURE_MS;
  let [measured, sum, total, count] = [0, 0, 0, 0];
  for (const module of lora.modules) {
    await setImmediate();
    if (performance.now() > end) {
      notes.add(`Measuring ended after ${MAX_MEASURE_MS / 1000} s.`);
      break;
    }
    try {
      const alpha = readPart(lora, module, 'alpha')?.[0];
      if (alpha !== undefined) alphas.set(alpha, (alphas.get(alpha) ?? 0) + 1);
      const found = await measureModule(lora, module);
      if (!found) {
        notes.add('The change of some modules depends on the checkpoint and was not measured.');
        continue;
      }
      const row = rows.get(keyOf(placeOf(module.name))) as PartRow;
      squares.set(row, (squares.get(row) ?? 0) + found.norm ** 2);
      measured += 1;
      sum += found.norm;
      total += found.norm ** 2;
      count += found.count;
    } catch (error) {
      if (!(error instanceof LoraError) && !(error instanceof CheckpointError)) throw error;
      notes.add(`It is damaged: ${error.message}.`);
    }
  }
  for (const [row, square] of squares) {
    row.norm = Math.sqrt(square);
    row.share = total > 0 ? square / total : null;
  }
  return {
    parts,
    averageNorm: measured > 0 ? sum / measured : null,
    rms: count > 0 ? Math.sqrt(total / count) : null,
    measured,
    alphas: [...alphas].map(([alpha, modules]) => ({ alpha, modules })),
    notes: [...notes],
  };
}

function keyOf({ network, block, layers }: Place): string {
  return [network, block, layers].join();
}
