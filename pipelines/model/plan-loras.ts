/** The LoRAs of one pass on one checkpoint, with everything checked that can fail about a file. */

import { MergeError } from '../../lora/merge.ts';
import { type LoraPlan, type LoraRef, planLoras } from '../../lora/plan.ts';
import type { LoraRequest } from '../../lora/tags.ts';
import { quoteName } from '../../networks/checkpoint/errors.ts';
import type { Model } from './model.ts';

/**
 * Plans LoRAs and merges what has to be merged, before any network runs: a LoRA that cannot be
 * merged is left out as a whole, with a message, and never applied by halves.
 *
 * @param requests  in the order of the tags
 * @param findRef   looks a name up
 * @throws CheckpointError when the checkpoint cannot be read
 */
export async function planModelLoras(
  requests: readonly LoraRequest[],
  findRef: (name: string) => LoraRef | null,
  model: Model,
): Promise<LoraPlan> {
  const refused = new Map<string, string>();
  const find = (name: string) => {
    const ref = findRef(name);
    return ref && !refused.has(ref.path) ? ref : null;
  };
  for (;;) {
    const left = requests.filter(({ name }) => !refused.has(findRef(name)?.path ?? ''));
    const plan = await planLoras(left, find, model.layers(), model.loras, { canMerge: true });
    try {
      for (const { prefix } of model.layers()) {
        await model.prepareMerges(plan.merges(prefix));
      }
      return { ...plan, messages: [...refused.values(), ...plan.messages] };
    } catch (error) {
      if (!(error instanceof MergeError)) throw error;
      const { path } = error.lora.file;
      const request = left.find(({ name }) => findRef(name)?.path === path);
      if (!request) throw error;
      refused.set(path, `lora ${quoteName(request.name)} was not applied: ${error.message}`);
    }
  }
}
