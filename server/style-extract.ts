import type { PromptStyle } from './styles.ts';

const PLACEHOLDER = '{prompt}';

/** Both texts of a picture, and the names of styles that were found in them. */
export interface ExtractedStyles {
  prompt: string;
  negativePrompt: string;
  /** In the order in which they had been applied. */
  styles: string[];
}

/**
 * Takes known styles out of prompts: undoes `applyStyles` as far as the texts show it. A style counts
 * when both of its texts are there, around the prompt or at its end; white space is compared as one
 * blank. Each find makes the texts shorter, so it ends.
 *
 * @param known  every style, in the file's order; the first that fits is taken out first
 */
export function extractStyles(
  prompts: { prompt: string; negativePrompt: string },
  known: Iterable<PromptStyle>,
): ExtractedStyles {
  const candidates = [...known].filter((style) => style.prompt || style.negativePrompt);
  const styles: string[] = [];
  let current = prompts;
  for (;;) {
    const found = findFirst(current, candidates);
    if (found === null) return { ...current, styles: styles.reverse() };
    styles.push(found.name);
    current = found.rest;
  }
}

function findFirst(
  { prompt, negativePrompt }: { prompt: string; negativePrompt: string },
  candidates: readonly PromptStyle[],
) {
  for (const style of candidates) {
    const rest = takeOut(prompt, style.prompt);
    const negativeRest = takeOut(negativePrompt, style.negativePrompt);
    if (rest === null || negativeRest === null) continue;
    // A style of nothing but `{prompt}` is in every text.
    if (rest.length + negativeRest.length >= prompt.length + negativePrompt.length) continue;
    return { name: style.name, rest: { prompt: rest, negativePrompt: negativeRest } };
  }
  return null;
}

/** Returns the prompt without a style's text; null when it is not there. */
function takeOut(prompt: string, style: string): string | null {
  if (style.trim() === '') return prompt;
  const text = collapse(prompt);
  const wanted = collapse(style);
  const hole = wanted.indexOf(PLACEHOLDER);
  if (hole >= 0) {
    const before = wanted.slice(0, hole);
    const after = wanted.slice(hole + PLACEHOLDER.length);
    const fits = text.length >= before.length + after.length;
    if (!fits || !text.startsWith(before) || !text.endsWith(after)) return null;
    return text.slice(before.length, text.length - after.length);
  }
  if (!text.endsWith(wanted)) return null;
  return text.slice(0, text.length - wanted.length).replace(/, $/, '');
}

function collapse(text: string): string {
  return text.trim().replace(/\s+/g, ' ');
}
