import { parseSchedule, type ScheduleNode } from './schedule-tree.ts';

/** How the numbers of a schedule are read. */
export interface ScheduleRule {
  /** Model calls of this pass, counted as the sampler counts them (2N for second-order samplers). */
  steps: number;
  /** Model calls of the first pass when this is the hires pass; absent in a first pass. */
  firstPassSteps?: number;
  /** The web UI's older rule: a number below 1 is a fraction, dot or not. */
  useOldScheduling?: boolean;
}

/** A text and the last step it holds for. */
export interface ScheduledText {
  endStep: number;
  text: string;
}

/**
 * Returns the texts a prompt stands for over the steps; never throws.
 *
 * A `when` with a dot is a fraction of the steps, rounded down, one without is a step. In the hires
 * pass fractions count from 1 to 2 and steps go on after the first pass's. The result is at most
 * one entry per step, so its size is at most `steps` times the prompt.
 *
 * @returns entries with ascending `endStep`, the last one `steps`; equal texts are not joined
 */
export function scheduleText(prompt: string, rule: ScheduleRule): ScheduledText[] {
  const { steps, fractionOffset, stepOffset } = countFrom(rule);
  const tree = parseSchedule(prompt);
  if (tree === null) return [{ endStep: steps, text: prompt }];
  const resolve = (when: string): number => {
    const value = Number(when);
    let step: number;
    if (rule.useOldScheduling === true) step = value < 1 ? value * steps : value;
    else step = when.includes('.') ? (value - fractionOffset) * steps : value - stepOffset;
    return Math.min(steps, Math.trunc(step));
  };
  return collectSteps(tree, steps, resolve).map((endStep) => ({
    endStep,
    text: renderAt(tree, endStep, resolve),
  }));
}

/**
 * Returns the entry in force at a model call: the first that has not ended, and the first of all
 * after the last has ended, as the web UI does.
 *
 * @param schedule  ascending `endStep`, not empty
 * @param step      0-based model call; an entry holds up to and including the call `endStep`
 */
export function entryAtStep<T extends { endStep: number }>(
  schedule: readonly T[],
  step: number,
): T {
  return schedule.find((entry) => step <= entry.endStep) ?? schedule[0]!;
}

function countFrom(rule: ScheduleRule) {
  const { firstPassSteps, useOldScheduling = false } = rule;
  if (firstPassSteps === undefined) return { steps: rule.steps, fractionOffset: 0, stepOffset: 0 };
  if (useOldScheduling) return { steps: firstPassSteps, fractionOffset: 0, stepOffset: 0 };
  return { steps: rule.steps, fractionOffset: 1, stepOffset: firstPassSteps };
}

/** The steps after which the text may change, ascending. */
function collectSteps(
  tree: readonly ScheduleNode[],
  steps: number,
  resolve: (when: string) => number,
): number[] {
  const found = new Set([steps]);
  let hasCycle = false;
  const pending: (readonly ScheduleNode[])[] = [tree];
  for (let items = pending.pop(); items !== undefined; items = pending.pop()) {
    for (const node of items) {
      if (typeof node === 'string') continue;
      if (node.kind === 'group') pending.push(node.items);
      else if (node.kind === 'cycle') {
        hasCycle = true;
        for (const option of node.options) pending.push(option);
      } else {
        const step = resolve(node.when);
        if (step >= 1) found.add(step);
        pending.push(node.from, node.to);
      }
    }
  }
  if (hasCycle) for (let step = 1; step <= steps; step++) found.add(step);
  return [...found].sort((a, b) => a - b);
}

/** The text at a step counted from 1. Keeps its own stack: prompts nest as deep as they are long. */
function renderAt(
  tree: readonly ScheduleNode[],
  step: number,
  resolve: (when: string) => number,
): string {
  // Joined at the end: adding piece by piece would keep a tree of every text in memory.
  const pieces: string[] = [];
  const pending: { items: readonly ScheduleNode[]; next: number }[] = [];
  const enter = (items: readonly ScheduleNode[]): void => {
    const [only] = items;
    if (items.length === 1 && typeof only === 'string') pieces.push(only);
    else if (items.length > 0) pending.push({ items, next: 0 });
  };
  enter(tree);
  while (pending.length > 0) {
    const list = pending.at(-1)!;
    const node = list.items[list.next++];
    if (node === undefined) {
      pending.pop();
    } else if (typeof node === 'string') {
      pieces.push(node);
    } else if (node.kind === 'group') {
      pieces.push(node.open);
      pending.push({ items: [node.close], next: 0 });
      enter(node.items);
    } else if (node.kind === 'cycle') {
      enter(node.options[(step - 1) % node.options.length]!);
    } else {
      enter(step <= resolve(node.when) ? node.from : node.to);
    }
  }
  return pieces.join('');
}
