import { describe, expect, it } from 'vitest';
import { stripComments } from '../../../pipelines/prompt/comments.ts';
import { table } from '../../fixtures/prompt/table.ts';

describe('stripComments', () => {
  it.each(table.comments)('%j', (prompt, expected) => {
    expect(stripComments(prompt)).toBe(expected);
  });

  it('leaves one line break where a line was', () => {
    expect(stripComments('a\n# note\nb')).toBe('a\nb');
  });
});
