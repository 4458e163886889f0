/** Everything that can be told of a file: what `GET /sdapi/v1/loras/{name}` answers. */
import { quoteName } from '../../networks/checkpoint/errors.ts';
import { type FileKind, identifyFile, type ModelFolder } from './identify.ts';
import { listParts, measureStrength, type PartRow, rankOf } from './strength.ts';
import { type SuggestedWeights, suggestWeights } from './suggest.ts';
import { readTraining, type TrainingFacts } from './training.ts';

export { compareWithCheckpoint, type Fit } from './fit.ts';
export { identifyFile, type ModelFolder } from './identify.ts';

/** What is told. In LoRA files null means: the file does not say. */
export interface Inspection extends TrainingFacts {
  kind: FileKind;
  /** One sentence: what it is. */
  says: string;
  /** What to do when it lies in the wrong folder; null when it does not. */
  advice: string | null;
  base_model: string | null;
  bytes: number | null;
  /** Modules by kind, as LyCORIS names them. */
  modules: Record<string, number>;
  /** Ranks with how many modules have them, most frequent first. */
  ranks: { rank: number; modules: number }[];
  network_alpha: { alpha: number; modules: number }[];
  /** Which parts it changes, and how strongly at weight 1. */
  parts: PartRow[];
  average_module_norm: number | null;
  rms_change: number | null;
  /** Names of embeddings that it carries. */
  embeddings: readonly string[];
  suggested_weights: SuggestedWeights | null;
  notes: string[];
}

/** Most names of tensors that a note repeats. */
const MAX_NAMED_KEYS = 3;

/**
 * Inspects a file. The tensors of a LoRA are read one module after the other while other work goes on:
 * seconds for a large one.
 *
 * @param path     any file
 * @param name     what it is called, without extension
 * @param folder   where it lies
 * @param options  whether the tensors are read at all
 * @throws only what is no fault of the file
 */
export async function inspectFile(
  path: string,
  name: string,
  folder: ModelFolder,
  options: { measures: boolean },
): Promise<Inspection> {
  const { kind, says, belongs, base, lora, file } = await identifyFile(path);
  const common = {
    kind,
    says,
    advice: adviseFolder(folder, belongs, kind),
    base_model: base,
    bytes: file?.bytes ?? null,
    ...readTraining(file?.metadata ?? new Map()),
  };
  if (!lora) {
    return {
      ...common,
      modules: {},
      ranks: [],
      network_alpha: [],
      parts: [],
      average_module_norm: null,
      rms_change: null,
      embeddings: [],
      suggested_weights: null,
      notes: [],
    };
  }
  const strength = options.measures ? await measureStrength(lora) : null;
  const ranks = countBy(lora.modules.map(rankOf).filter((rank) => rank !== null));
  const parts = strength?.parts ?? listParts(lora);
  const averageNorm = strength?.averageNorm ?? null;
  const facts = { name, base, ranks: ranks.map(([rank]) => rank), parts, averageNorm };
  return {
    ...common,
    modules: Object.fromEntries(countBy(lora.modules.map((module) => module.kind))),
    ranks: ranks.map(([rank, modules]) => ({ rank, modules })),
    network_alpha: strength?.alphas ?? [],
    parts,
    average_module_norm: averageNorm,
    rms_change: strength?.rms ?? null,
    embeddings: lora.embeddings,
    suggested_weights: strength ? suggestWeights(facts) : null,
    notes: [...(strength?.notes ?? []), ...describeUnknown(lora.unknownKeys)],
  };
}

function adviseFolder(
  folder: ModelFolder,
  belongs: ModelFolder | null,
  kind: FileKind,
): string | null {
  if (folder === belongs) return null;
  if (belongs !== null) return `It lies in the folder ${folder} and belongs into ${belongs}.`;
  if (kind === 'pickle') return 'Convert it to .safetensors, or download it as such.';
  return kind === 'damaged' ? 'Download it again.' : 'This server has no use for it.';
}

function describeUnknown(keys: readonly string[]): string[] {
  if (keys.length === 0) return [];
  const named = keys.slice(0, MAX_NAMED_KEYS).map(quoteName).join(', ');
  return [`${keys.length} tensors are of no module and are not used, e.g. ${named}.`];
}

/** Values with how often each occurs, most frequent first. */
function countBy<T>(values: readonly T[]): [T, number][] {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}
