import { splitAnd } from './and.ts';
import { entryAtStep, type ScheduleRule, scheduleText } from './schedule.ts';

/** The prompts of one picture and what decides how they unfold over its steps. */
export interface ConditioningRequest extends ScheduleRule {
  /** Styles applied, comments and `<lora:…>` tags removed. */
  prompt: string;
  /** Styles applied and comments removed. AND is a plain word here. */
  negativePrompt: string;
}

/**
 * Texts that the web UI encodes in one call: the schedule of one prompt. They share the mean that
 * 'Original' emphasis restores and are padded with empty chunks to the longest of them.
 */
export interface TextGroup {
  /** Indices into `ConditioningPlan.texts`, each once, in order of first use. */
  texts: number[];
  /** How often each of them stands in the schedule; same order. */
  counts: number[];
  isNegative: boolean;
}

/** A prompt over the steps. */
export interface PlannedPrompt {
  /** Index into `ConditioningPlan.groups`. */
  group: number;
  /** `text` is an index into `ConditioningPlan.texts`. */
  schedule: { endStep: number; text: number }[];
}

/**
 * What to encode for one picture and when to use it. Plain data.
 *
 * Encode every text of `texts` once; per group, apply emphasis to its texts' chunks; per model
 * call, ask `condsAtStep` which (group, text) pairs to feed.
 */
export interface ConditioningPlan {
  /** Every text that occurs, each once. */
  texts: string[];
  groups: TextGroup[];
  /** The parts that AND joins, with their weights; at least one. */
  positive: (PlannedPrompt & { weight: number })[];
  negative: PlannedPrompt;
  /** SDXL: the unconditional encoding is zeros, because every negative text is empty. */
  isZeroUncond: boolean;
}

/** An encoded text: the same text may differ between groups by its emphasis. */
export interface CondRef {
  group: number;
  text: number;
}

/**
 * Returns what to encode for a positive and a negative prompt, and when each encoding applies.
 *
 * Never throws; linear in the prompts times the steps. Equal parts of an AND share one group.
 */
export function planConditioning(request: ConditioningRequest): ConditioningPlan {
  const texts = new Map<string, number>();
  const groups: TextGroup[] = [];
  const planned = new Map<string, PlannedPrompt>();

  const plan = (prompt: string, isNegative: boolean): PlannedPrompt => {
    const schedule = scheduleText(prompt, request).map(({ endStep, text }) => {
      if (!texts.has(text)) texts.set(text, texts.size);
      return { endStep, text: texts.get(text)! };
    });
    const counts = new Map<number, number>();
    for (const { text } of schedule) counts.set(text, (counts.get(text) ?? 0) + 1);
    groups.push({ texts: [...counts.keys()], counts: [...counts.values()], isNegative });
    return { group: groups.length - 1, schedule };
  };

  const positive = splitAnd(request.prompt).map(({ text, weight }) => {
    if (!planned.has(text)) planned.set(text, plan(text, false));
    return { ...planned.get(text)!, weight };
  });
  const negative = plan(request.negativePrompt, true);
  const names = [...texts.keys()];
  const isZeroUncond = negative.schedule.every(({ text }) => names[text] === '');
  return { texts: names, groups, positive, negative, isZeroUncond };
}

/**
 * Returns which encodings a model call uses.
 *
 * @param step  0-based model call within the pass
 * @returns the positive parts with their weights, in order, and the negative one
 */
export function condsAtStep(
  plan: ConditioningPlan,
  step: number,
): { conds: (CondRef & { weight: number })[]; uncond: CondRef } {
  const at = ({ group, schedule }: PlannedPrompt): CondRef => ({
    group,
    text: entryAtStep(schedule, step).text,
  });
  return {
    conds: plan.positive.map((part) => ({ ...at(part), weight: part.weight })),
    uncond: at(plan.negative),
  };
}
