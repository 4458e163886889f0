import { COMMA_TOKEN, END_TOKEN, START_TOKEN, tokenize } from '../../networks/tokenizer.ts';
import type { JobOptions } from '../job.ts';
import { isBreak, parseAttention } from './attention.ts';
import { type EmbeddingLookup, noEmbeddings } from './embeddings.ts';

/** Tokens of prompt in one chunk. */
export const CHUNK_TOKENS = 75;
/** Length of a chunk as the text encoder takes it: start, 75 tokens, end. */
export const CHUNK_LENGTH = CHUNK_TOKENS + 2;
/** What OpenCLIP encoders were trained to see after the end token. */
const OPEN_CLIP_PAD = 0;

/** Where the vectors of a textual inversion embedding go. */
export interface EmbeddingFix {
  name: string;
  /** Index in the chunk's 77 tokens of the first vector, 1-75. */
  position: number;
  /** Vectors placed from there on; the tokens there are 0. */
  vectors: number;
}

/** One run of the text encoder. */
export interface PromptChunk {
  /** Start, 75 tokens padded with the end token, end; i32 [77]. */
  tokens: Int32Array;
  /** Factor per token, 1 for start, end and padding; f32 [77]. */
  weights: Float32Array;
  fixes: EmbeddingFix[];
}

/** A prompt cut into chunks. */
export interface ChunkedPrompt {
  /** At least one. */
  chunks: PromptChunk[];
  /** Tokens of the prompt, the padding before a cut counted, the padding at the end not. */
  tokenCount: number;
}

/** What decides how a prompt is cut. */
export interface ChunkOptions {
  /** 'None' takes brackets and BREAK as text; the others differ only in `applyEmphasis`. */
  emphasis?: JobOptions['emphasis'];
  /** Tokens to look back for a comma when a chunk is full; 0 = cut where it is full. */
  commaPaddingBacktrack?: number;
  embeddings?: EmbeddingLookup;
}

/** What `comma_padding_backtrack` is unless an option says otherwise. */
const DEFAULT_BACKTRACK = 20;

/**
 * Cuts a prompt into chunks of 75 weighted tokens; never throws.
 *
 * Each segment of equal weight is tokenised on its own. BREAK ends a chunk. A chunk that is full
 * is cut after its last comma when that is near, and what follows the comma moves on, embeddings
 * included (the web UI forgets to move those). An embedding that does not fit starts a new chunk.
 *
 * @param text  one prompt of a schedule, without tags
 */
export function chunkPrompt(text: string, options: ChunkOptions = {}): ChunkedPrompt {
  const { emphasis = 'Original', commaPaddingBacktrack = DEFAULT_BACKTRACK } = options;
  const findEmbedding = options.embeddings ?? noEmbeddings;
  const segments = emphasis === 'None' ? [{ text, weight: 1 }] : parseAttention(text);
  const writer = new ChunkWriter(commaPaddingBacktrack);
  for (const segment of segments) {
    if (isBreak(segment)) {
      writer.endChunk();
      continue;
    }
    const tokens = tokenize(segment.text);
    for (let position = 0; position < tokens.length; ) {
      const token = tokens[position]!;
      writer.makeRoom(token);
      const match = findEmbedding(tokens, position);
      if (match === null) writer.addToken(token, segment.weight);
      else writer.addEmbedding(match.embedding.name, match.embedding.vectors, segment.weight);
      position += match?.length ?? 1;
    }
  }
  return writer.finish();
}

/** Returns the chunk of an empty prompt, which also pads the shorter of two prompts. */
export function emptyChunk(): PromptChunk {
  return closeChunk({ tokens: [], weights: [], fixes: [] });
}

/**
 * Returns a chunk's tokens as OpenCLIP encoders (SD 2, SDXL's second) take them: 0 instead of the
 * end token after the first end token.
 *
 * @param tokens  i32 [77]; not changed
 */
export function padForOpenClip(tokens: Int32Array): Int32Array {
  return Int32Array.from(tokens).fill(OPEN_CLIP_PAD, tokens.indexOf(END_TOKEN) + 1);
}

interface OpenChunk {
  tokens: number[];
  weights: number[];
  fixes: EmbeddingFix[];
}

class ChunkWriter {
  readonly #backtrack: number;
  readonly #chunks: PromptChunk[] = [];
  #chunk: OpenChunk = { tokens: [], weights: [], fixes: [] };
  /** Index of the last comma in the open chunk; -1 for none. */
  #lastComma = -1;
  #tokenCount = 0;

  constructor(backtrack: number) {
    this.#backtrack = backtrack;
  }

  /** Ends the open chunk if it is full; a comma is noted, and is where a later cut may be. */
  makeRoom(token: number): void {
    const { length } = this.#chunk.tokens;
    const isFull = length === CHUNK_TOKENS;
    if (token === COMMA_TOKEN) this.#lastComma = length;
    else if (isFull && this.#lastComma >= 0 && length - this.#lastComma <= this.#backtrack) {
      this.#endChunkAt(this.#lastComma + 1);
      return;
    }
    if (isFull) this.endChunk();
  }

  addToken(token: number, weight: number): void {
    this.#chunk.tokens.push(token);
    this.#chunk.weights.push(weight);
  }

  addEmbedding(name: string, rows: number, weight: number): void {
    const vectors = Math.min(rows, CHUNK_TOKENS);
    if (this.#chunk.tokens.length + vectors > CHUNK_TOKENS) this.endChunk();
    this.#chunk.fixes.push({ name, position: this.#chunk.tokens.length + 1, vectors });
    for (let i = 0; i < vectors; i++) this.addToken(0, weight);
  }

  endChunk(): void {
    this.#tokenCount += CHUNK_TOKENS;
    this.#close();
  }

  finish(): ChunkedPrompt {
    const { length } = this.#chunk.tokens;
    if (length > 0 || this.#chunks.length === 0) {
      this.#tokenCount += length;
      this.#close();
    }
    return { chunks: this.#chunks, tokenCount: this.#tokenCount };
  }

  /** Ends the chunk at a token; the tokens from there on begin the next one. */
  #endChunkAt(end: number): void {
    const { tokens, weights, fixes } = this.#chunk;
    // An embedding's name may hold the comma: it stays where it began, with what fits there.
    const stays = (fix: EmbeddingFix) => fix.position <= end;
    this.#chunk = {
      tokens: tokens.slice(0, end),
      weights: weights.slice(0, end),
      fixes: fixes.filter(stays),
    };
    this.endChunk();
    this.#chunk.tokens = tokens.slice(end);
    this.#chunk.weights = weights.slice(end);
    this.#chunk.fixes = fixes
      .filter((fix) => !stays(fix))
      .map((fix) => ({ ...fix, position: fix.position - end }));
  }

  #close(): void {
    this.#chunks.push(closeChunk(this.#chunk));
    this.#chunk = { tokens: [], weights: [], fixes: [] };
    this.#lastComma = -1;
  }
}

/** Adds start, padding and end. */
function closeChunk({ tokens, weights, fixes }: OpenChunk): PromptChunk {
  const chunk = {
    tokens: new Int32Array(CHUNK_LENGTH).fill(END_TOKEN),
    weights: new Float32Array(CHUNK_LENGTH).fill(1),
    fixes,
  };
  chunk.tokens[0] = START_TOKEN;
  chunk.tokens.set(tokens, 1);
  chunk.weights.set(weights, 1);
  return chunk;
}
