import { MAX_WORD_SYMBOLS, mergeSymbols } from './tokenizer/merge.ts';
import { END_TOKEN, loadVocabulary, START_TOKEN, WORD_END } from './tokenizer/vocabulary.ts';

export { END_TOKEN, START_TOKEN } from './tokenizer/vocabulary.ts';

/** Id of `,` as a whole word: where a full chunk may be cut (`comma_padding_backtrack`). */
export const COMMA_TOKEN = 267;

const MARKER = /<\|startoftext\|>|<\|endoftext\|>/g;
const SPACES = /\p{White_Space}+/gu;
/** Contractions, runs of letters, single digits, runs of anything else that is not white space. */
const WORD = /'(?:s|t|re|ve|m|ll|d)|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;
/** 30 marks are more than real text needs (Unicode Annex 15, Stream-Safe Text Format). */
const MANY_MARKS = /\p{M}{31}/u;
const MARKED_BLOCK = /\P{M}*\p{M}{0,30}/gu;

/**
 * Returns the CLIP token ids of a text: byte-level BPE over NFC, lower-cased words.
 *
 * The same ids as the tokenizer of transformers (`CLIPTokenizer`, the fast one): `<|startoftext|>`
 * and `<|endoftext|>` written in a text become their ids, HTML entities stay as they are, and a
 * capital sigma becomes σ wherever it stands. Time is O(n log n) in the text and nothing is cached
 * but the vocabulary.
 *
 * @param text  any string; a lone surrogate counts as U+FFFD
 * @returns ids 0-49407, without start and end, not truncated
 */
export function tokenize(text: string): number[] {
  const ids: number[] = [];
  let end = 0;
  for (const marker of text.matchAll(MARKER)) {
    appendWords(text.slice(end, marker.index), ids);
    ids.push(marker[0] === '<|endoftext|>' ? END_TOKEN : START_TOKEN);
    end = marker.index + marker[0].length;
  }
  appendWords(text.slice(end), ids);
  return ids;
}

/** Appends the ids of a text without markers. */
function appendWords(text: string, ids: number[]): void {
  if (text === '') return;
  const { byteId, ranks } = loadVocabulary();
  for (const [word] of normalize(text).matchAll(WORD)) {
    const bytes = Buffer.from(word, 'utf8');
    for (let start = 0; start < bytes.length; start += MAX_WORD_SYMBOLS) {
      const symbols: number[] = [];
      for (const byte of bytes.subarray(start, start + MAX_WORD_SYMBOLS)) {
        symbols.push(byteId[byte]!);
      }
      symbols[symbols.length - 1]! += WORD_END;
      for (const id of mergeSymbols(symbols, ranks)) ids.push(id);
    }
  }
}

/** NFC, white space to one space, lower case letter by letter (so no final sigma). */
function normalize(text: string): string {
  return toNfc(text).replace(SPACES, ' ').replaceAll('Σ', 'σ').toLowerCase();
}

/**
 * NFC, in blocks where a letter carries more marks than any writing system uses: sorting one run
 * of marks is quadratic in the runtime (0.85 s for 50,000 of them).
 */
function toNfc(text: string): string {
  if (!MANY_MARKS.test(text)) return text.normalize('NFC');
  let normalized = '';
  for (const [block] of text.matchAll(MARKED_BLOCK)) normalized += block.normalize('NFC');
  return normalized;
}
