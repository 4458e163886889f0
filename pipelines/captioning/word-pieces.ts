/** The words of a captioning model: BERT's pieces, of which only the ids of its own prompt are looked up. */
import { readFile } from 'node:fs/promises';
import { CheckpointError } from '../../networks/checkpoint/errors.ts';

/** A continuation of the word before it begins so. */
const CONTINUES = '##';
const END = '[SEP]';
/** `[PAD]`, `[unused1]`: never part of a text. */
const SPECIAL = /^\[.*\]$/;
/** What is written without a space before it, as transformers cleans up English. */
const CLOSE_UP: readonly (readonly [spaced: RegExp, closed: string])[] = [
  [/ ([.?!,])/g, '$1'],
  [/ ' /g, "'"],
  [/ (n't|'m|'s|'ve|'re)(?!\w)/g, '$1'],
];

/** The pieces, by id. */
export interface WordPieces {
  pieces: readonly string[];
  /** Id that ends a text. */
  end: number;
  /** Id that begins a caption: the first one after the list. */
  begin: number;
}

/**
 * Reads a list of pieces, one a line.
 *
 * @param path    of the list
 * @param tokens  how many ids the model knows: the list and one or two markers of its own
 * @throws CheckpointError CAPTIONER_INCOMPLETE for a list of another model
 */
export async function readWordPieces(path: string, tokens: number): Promise<WordPieces> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const pieces = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const end = pieces.indexOf(END);
  if (end === -1 || pieces.length >= tokens || pieces.length < tokens - 2) {
    throw new CheckpointError(
      'CAPTIONER_INCOMPLETE',
      path,
      `Expected ${tokens - 2} word pieces with ${END} among them but found ${pieces.length}.`,
    );
  }
  return { pieces, end, begin: pieces.length };
}

/**
 * Returns the ids of words that are pieces as a whole.
 *
 * @throws CheckpointError CAPTIONER_INCOMPLETE where one is not in the list
 */
export function findWords(
  { pieces }: WordPieces,
  words: readonly string[],
  path: string,
): number[] {
  return words.map((word) => {
    const id = pieces.indexOf(word);
    if (id !== -1) return id;
    throw new CheckpointError('CAPTIONER_INCOMPLETE', path, `The word piece ${word} is missing.`);
  });
}

/** Returns the text of some ids; markers are left out. */
export function joinPieces({ pieces }: WordPieces, ids: readonly number[]): string {
  const words = ids.flatMap((id) => pieces[id] ?? []).filter((piece) => !SPECIAL.test(piece));
  const text = words.join(' ').replaceAll(` ${CONTINUES}`, '').trim();
  return CLOSE_UP.reduce((line, [spaced, closed]) => line.replace(spaced, closed), text);
}
