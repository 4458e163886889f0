const WHOLE_LINE = /(^|\n)#[^\n]*(\n|$)/g;
const END_OF_LINE = /#[^\n]*(\n|$)/g;

/**
 * Returns a prompt without its comments: a line that starts with `#`, and what follows a `#` within
 * a line, each become one line break.
 */
export function stripComments(prompt: string): string {
  return prompt.replace(WHOLE_LINE, '\n').replace(END_OF_LINE, '\n');
}
