import { describe, expect, it } from 'vitest';
import {
  type ConditioningRequest,
  condsAtStep,
  planConditioning,
} from '../../../pipelines/prompt/conditioning-plan.ts';

const plan = (prompt: string, negativePrompt = '', rest: Partial<ConditioningRequest> = {}) =>
  planConditioning({ prompt, negativePrompt, steps: 4, ...rest });

/** The texts and weights of one call, by name. */
function at(made: ReturnType<typeof plan>, step: number) {
  const { conds, uncond } = condsAtStep(made, step);
  return {
    conds: conds.map(({ text, weight }) => [made.texts[text], weight]),
    uncond: made.texts[uncond.text],
  };
}

describe('planConditioning', () => {
  it('is one text each for plain prompts', () => {
    expect(plan('cat', 'blurry')).toEqual({
      texts: ['cat', 'blurry'],
      groups: [
        { texts: [0], counts: [1], isNegative: false },
        { texts: [1], counts: [1], isNegative: true },
      ],
      positive: [{ group: 0, schedule: [{ endStep: 4, text: 0 }], weight: 1 }],
      negative: { group: 1, schedule: [{ endStep: 4, text: 1 }] },
      isZeroUncond: false,
    });
  });

  it('encodes a text once that both prompts use, in a group each', () => {
    const made = plan('cat', 'cat');
    expect(made.texts).toEqual(['cat']);
    expect(made.groups.map(({ texts, isNegative }) => [texts, isNegative])).toEqual([
      [[0], false],
      [[0], true],
    ]);
  });

  it('counts how often a schedule repeats a text', () => {
    const made = plan('[a|b|b]');
    expect(made.texts).toEqual(['a', 'b', '']);
    expect(made.groups[0]).toEqual({ texts: [0, 1], counts: [2, 2], isNegative: false });
  });

  it('shares the group of equal parts and keeps their weights', () => {
    const made = plan('a :2 AND b AND a:-1');
    expect(made.positive.map(({ group, weight }) => [group, weight])).toEqual([
      [0, 2],
      [1, 1],
      // " a" keeps its leading space: another text, as in the web UI.
      [2, -1],
    ]);
    expect(plan('a AND  AND a').groups).toHaveLength(4);
    expect(plan('a:1 ANDa').groups).toHaveLength(2);
    expect(plan(',AND,').groups).toHaveLength(2);
  });

  it.each<[string, boolean]>([
    ['', true],
    [' ', false],
    ['a', false],
    ['[a::2]', false],
    ['[:a:9]', true],
  ])('says whether the negative prompt %j is empty throughout', (negative, expected) => {
    expect(plan('cat', negative).isZeroUncond).toBe(expected);
  });

  it('lets an empty positive prompt be: only the negative one is zeroed', () => {
    expect(plan('', 'a').isZeroUncond).toBe(false);
  });
});

describe('condsAtStep', () => {
  it('switches each prompt by its own schedule', () => {
    const made = plan('[cat:dog:2] AND bird:0.5', '[x|y]');
    expect([0, 1, 2, 3].map((step) => at(made, step))).toEqual([
      {
        conds: [
          ['cat', 1],
          [' bird', 0.5],
        ],
        uncond: 'x',
      },
      {
        conds: [
          ['cat', 1],
          [' bird', 0.5],
        ],
        uncond: 'x',
      },
      {
        conds: [
          ['cat', 1],
          [' bird', 0.5],
        ],
        uncond: 'y',
      },
      {
        conds: [
          ['dog', 1],
          [' bird', 0.5],
        ],
        uncond: 'x',
      },
    ]);
  });

  it('takes AND as a word in the negative prompt', () => {
    expect(at(plan('cat', 'a AND b:2'), 0).uncond).toBe('a AND b:2');
  });

  it('counts the hires pass on from the first', () => {
    const made = plan('[cat:dog:6]', '', { steps: 4, firstPassSteps: 4 });
    expect([0, 2, 3].map((step) => at(made, step).conds[0]![0])).toEqual(['cat', 'cat', 'dog']);
  });

  it('reads numbers by the older rule when asked', () => {
    const made = plan('[cat:dog:1.5]', '', { useOldScheduling: true });
    expect([1, 2].map((step) => at(made, step).conds[0]![0])).toEqual(['cat', 'dog']);
  });
});
