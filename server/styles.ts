/** A named addition to both prompts, one row of `styles.csv`. */
export interface PromptStyle {
  name: string;
  prompt: string;
  negativePrompt: string;
}

const BYTE_ORDER_MARK = '\ufeff';
const COLUMNS = ['name', 'prompt', 'negative_prompt'] as const;
const PLACEHOLDER = '{prompt}';

/**
 * Returns a prompt with style texts applied in order: a text with `{prompt}` is wrapped around it,
 * another is added after `, `. An empty text only trims the prompt.
 */
export function applyStyles(prompt: string, styleTexts: readonly string[]): string {
  return styleTexts.reduce((text, style) => {
    if (style.includes(PLACEHOLDER)) return style.split(PLACEHOLDER).join(text);
    return [text.trim(), style.trim()].filter((part) => part !== '').join(', ');
  }, prompt);
}

/**
 * Returns both prompts with the named styles applied. A name that no style has adds nothing.
 *
 * @param names   in the order to apply
 * @param styles  every style, by name
 */
export function applyStylesByName(
  prompts: { prompt: string; negativePrompt: string },
  names: readonly string[],
  styles: ReadonlyMap<string, PromptStyle>,
): { prompt: string; negativePrompt: string } {
  const chosen = names.map((name) => styles.get(name));
  return {
    prompt: applyStyles(
      prompts.prompt,
      chosen.map((style) => style?.prompt ?? ''),
    ),
    negativePrompt: applyStyles(
      prompts.negativePrompt,
      chosen.map((style) => style?.negativePrompt ?? ''),
    ),
  };
}

/**
 * Reads a `styles.csv`: comma separated, double quotes around what needs them, first row the column
 * names. Knows the older column `text` for `prompt`. Rows without a name and rows that start with
 * `#` are left out; the last of two rows with one name counts.
 *
 * @param csv  the file's text, with or without a byte order mark; never throws
 * @returns styles by name, in the file's order
 */
export function parseStyles(csv: string): Map<string, PromptStyle> {
  const styles = new Map<string, PromptStyle>();
  const [header, ...rows] = parseRows(csv.startsWith(BYTE_ORDER_MARK) ? csv.slice(1) : csv);
  if (header === undefined) return styles;
  const column = (name: string) => header.lastIndexOf(name);
  const at = {
    name: column('name'),
    prompt: column('prompt') >= 0 ? column('prompt') : column('text'),
    negativePrompt: column('negative_prompt'),
  };
  for (const row of rows) {
    const name = row[at.name] ?? '';
    if (name === '' || name.startsWith('#')) continue;
    styles.set(name, {
      name,
      prompt: row[at.prompt] ?? '',
      negativePrompt: row[at.negativePrompt] ?? '',
    });
  }
  return styles;
}

/** Returns the text of a `styles.csv` as the web UI writes it: byte order mark, CRLF, three columns. */
export function formatStyles(styles: Iterable<PromptStyle>): string {
  const rows: string[][] = [[...COLUMNS]];
  for (const { name, prompt, negativePrompt } of styles) rows.push([name, prompt, negativePrompt]);
  return BYTE_ORDER_MARK + rows.map((row) => `${row.map(quote).join(',')}\r\n`).join('');
}

function quote(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

/** Splits CSV text into rows; spaces before a field and empty lines are skipped. */
function parseRows(csv: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let i = 0;
  while (i < csv.length) {
    while (csv[i] === ' ') i++;
    const field = csv[i] === '"' ? readQuoted(csv, i) : readBare(csv, i);
    row.push(field.value);
    i = field.end;
    if (csv[i] === ',') {
      i++;
      if (i < csv.length) continue;
      row.push('');
    }
    i += csv.startsWith('\r\n', i) ? 2 : 1;
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
  }
  return rows;
}

/** Reads a field that opens with a quote; text after the closing quote still belongs to it. */
function readQuoted(csv: string, start: number): { value: string; end: number } {
  let value = '';
  let i = start + 1;
  for (;;) {
    const close = csv.indexOf('"', i);
    if (close < 0) return { value: value + csv.slice(i), end: csv.length };
    value += csv.slice(i, close);
    i = close + 1;
    if (csv[i] !== '"') break;
    value += '"';
    i++;
  }
  const rest = readBare(csv, i);
  return { value: value + rest.value, end: rest.end };
}

function readBare(csv: string, start: number): { value: string; end: number } {
  let end = start;
  while (end < csv.length && !',\r\n'.includes(csv[end]!)) end++;
  return { value: csv.slice(start, end), end };
}
