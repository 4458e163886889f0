/** What can be wrong with a textual inversion embedding, one code each. */
export const EMBEDDING_ERRORS = {
  NO_VECTORS: 'The file has no tensor of vectors, or more than one.',
  SHAPE: 'The vectors are no matrix, or the two parts of an SDXL embedding differ in number.',
  DTYPE: 'A tensor of a type that is no weight.',
  TOO_LARGE: 'The file or the number of vectors is beyond the limit.',
  NOT_FINITE: 'The vectors hold NaN or infinity.',
} as const;

export type EmbeddingErrorCode = keyof typeof EMBEDDING_ERRORS;

/** An embedding that cannot be used; the message is a clause without the file's name. */
export class EmbeddingError extends Error {
  override readonly name = 'EmbeddingError';
  readonly code: EmbeddingErrorCode;

  constructor(code: EmbeddingErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
