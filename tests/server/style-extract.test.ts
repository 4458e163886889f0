import { describe, expect, it } from 'vitest';
import { extractStyles } from '../../server/style-extract.ts';
import { applyStylesByName, type PromptStyle } from '../../server/styles.ts';

const style = (name: string, prompt: string, negativePrompt = ''): PromptStyle => ({
  name,
  prompt,
  negativePrompt,
});

const KNOWN = [style('ink', 'ink of {prompt}, fine', 'grey'), style('noir', 'noir'), style('', '')];

describe('extractStyles', () => {
  it('undoes what applyStyles did', () => {
    const own = { prompt: 'a cat', negativePrompt: 'dogs' };
    const names = ['ink', 'noir'];
    const styled = applyStylesByName(own, names, new Map(KNOWN.map((one) => [one.name, one])));
    expect(styled.prompt).toBe('ink of a cat, fine, noir');
    expect(extractStyles(styled, KNOWN)).toEqual({ ...own, styles: names });
  });

  it('takes a style out only when both of its texts are there', () => {
    const prompts = { prompt: 'ink of a cat, fine', negativePrompt: 'dogs' };
    expect(extractStyles(prompts, KNOWN)).toEqual({ ...prompts, styles: [] });
  });

  it('does not count a text twice when the ends of a style overlap in it', () => {
    const prompts = { prompt: 'aba', negativePrompt: '' };
    expect(extractStyles(prompts, [style('x', 'ab{prompt}ba')])).toEqual({
      ...prompts,
      styles: [],
    });
  });

  it('ends with styles that are in every text', () => {
    const prompts = { prompt: 'x', negativePrompt: '' };
    expect(extractStyles(prompts, [style('all', '{prompt}'), style('blank', ' ')])).toEqual({
      ...prompts,
      styles: [],
    });
  });
});
