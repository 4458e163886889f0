import { tokenize } from '../../networks/tokenizer.ts';

/** A textual inversion embedding as the prompt sees it: a name that stands for vectors. */
export interface EmbeddingName {
  /** File name without extension; matched by its tokens, so case does not count. */
  name: string;
  /** Rows of its tensor, 1 or more. */
  vectors: number;
}

/** An embedding found in a prompt. */
export interface EmbeddingMatch {
  embedding: EmbeddingName;
  /** Tokens of the prompt that the name takes. */
  length: number;
}

/** Returns the embedding whose name stands at a position of a token list; null for none. */
export type EmbeddingLookup = (
  tokens: readonly number[],
  position: number,
) => EmbeddingMatch | null;

/** The lookup of a server without embeddings. */
export const noEmbeddings: EmbeddingLookup = () => null;

/**
 * Returns a lookup over embeddings that finds the longest name at each position.
 *
 * @param embeddings  two names with the same tokens: the first one counts
 */
export function createEmbeddingLookup(embeddings: readonly EmbeddingName[]): EmbeddingLookup {
  const byFirstToken = new Map<number, { ids: number[]; embedding: EmbeddingName }[]>();
  for (const embedding of embeddings) {
    const ids = tokenize(embedding.name);
    const [first] = ids;
    if (first === undefined) continue;
    const sharing = byFirstToken.get(first) ?? [];
    sharing.push({ ids, embedding });
    byFirstToken.set(first, sharing);
  }
  for (const sharing of byFirstToken.values()) sharing.sort((a, b) => b.ids.length - a.ids.length);
  return (tokens, position) => {
    const candidates = byFirstToken.get(tokens[position] ?? -1) ?? [];
    const match = candidates.find(({ ids }) => ids.every((id, i) => tokens[position + i] === id));
    return match === undefined ? null : { embedding: match.embedding, length: match.ids.length };
  };
}
