import { describe, expect, it } from 'vitest';
import {
  entryAtStep,
  type ScheduleRule,
  scheduleText,
} from '../../../pipelines/prompt/schedule.ts';
import { table } from '../../fixtures/prompt/table.ts';

const entries = (prompt: string, rule: ScheduleRule) =>
  scheduleText(prompt, rule).map(({ endStep, text }): [number, string] => [endStep, text]);

describe('published examples', () => {
  const switched: [number, string][] = [
    [10, 'cat'],
    [20, 'dog'],
  ];

  it.each<[string, number, [number, string][]]>([
    ['[cat:dog:0.5]', 20, switched],
    ['[cat:dog:10]', 20, switched],
    [
      '[dog:5]',
      20,
      [
        [5, ''],
        [20, 'dog'],
      ],
    ],
    [
      '[cat::5]',
      20,
      [
        [5, 'cat'],
        [20, ''],
      ],
    ],
    [
      '[cat:dog:1]',
      20,
      [
        [1, 'cat'],
        [20, 'dog'],
      ],
    ],
    ['[cat:dog:1.0]', 20, [[20, 'cat']]],
    ['[cat:dog:1.5]', 20, [[20, 'cat']]],
    ['[cat:dog:25]', 20, [[20, 'cat']]],
    ['[cat:dog:0]', 20, [[20, 'dog']]],
    ['[cat:dog:-1]', 20, [[20, 'dog']]],
    [
      '[cat:dog:.25]',
      20,
      [
        [5, 'cat'],
        [20, 'dog'],
      ],
    ],
    [
      '[cat:dog:0.999]',
      20,
      [
        [19, 'cat'],
        [20, 'dog'],
      ],
    ],
    [
      '[[a:b:3]:c:6]',
      10,
      [
        [3, 'a'],
        [6, 'b'],
        [10, 'c'],
      ],
    ],
    [
      '[a|]x',
      4,
      [
        [1, 'ax'],
        [2, 'x'],
        [3, 'ax'],
        [4, 'x'],
      ],
    ],
    [
      '[a : b : 2]',
      4,
      [
        [2, 'a '],
        [4, ' b '],
      ],
    ],
    ['[x:y:z]', 20, [[20, '[x:y:z]']]],
    ['[cat|dog:3]', 20, [[20, '[cat|dog:3]']]],
  ])('%s over %i steps', (prompt, steps, expected) => {
    expect(entries(prompt, { steps })).toEqual(expected);
  });

  it.each<[string, [number, string][]]>([
    ['0.5', [[15, 'dog']]],
    [
      '1.5',
      [
        [7, 'cat'],
        [15, 'dog'],
      ],
    ],
    [
      '25',
      [
        [5, 'cat'],
        [15, 'dog'],
      ],
    ],
    ['5', [[15, 'dog']]],
  ])('hires pass, 20 then 15 steps, when %s', (when, expected) => {
    expect(entries(`[cat:dog:${when}]`, { steps: 15, firstPassSteps: 20 })).toEqual(expected);
  });
});

describe('reference table', () => {
  it.each(table.schedule)('%j over %i steps (first pass %j, old rule %j)', (...row) => {
    const [prompt, steps, first, useOldScheduling, expected] = row;
    const rule = { steps, useOldScheduling, ...(first === null ? {} : { firstPassSteps: first }) };
    expect(entries(prompt, rule)).toEqual(expected);
  });
});

describe('entryAtStep', () => {
  const schedule = scheduleText('[cat:dog:2]', { steps: 4 });

  it('holds the first text one call longer than its number, and starts again after the end', () => {
    const texts = [0, 1, 2, 3, 4, 5].map((step) => entryAtStep(schedule, step).text);
    expect(texts).toEqual(['cat', 'cat', 'cat', 'dog', 'dog', 'cat']);
  });

  it('alternates a, a, b, a', () => {
    const cycle = scheduleText('[a|b]', { steps: 4 });
    expect([0, 1, 2, 3].map((step) => entryAtStep(cycle, step).text).join('')).toBe('aaba');
  });
});
