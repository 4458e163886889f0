/** Everything that keeps a LoRA from being applied, one code each. Permanent for file and checkpoint. */
export const LORA_ERRORS = {
  NO_MODULES: 'The file has no modules of any kind of LoRA.',
  TOO_LARGE: 'The file is over MAX_LORA_BYTES.',
  RANK_TOO_LARGE:
    'A module of a rank over MAX_LORA_RANK, or a rotation wider than MAX_BLOCK_WIDTH.',
  INCOMPLETE_MODULE: 'A module lacks a tensor that its kind needs, or has one that no kind has.',
  SHAPE_CONTRADICTION: 'The tensors of one module do not fit together.',
  DTYPE: 'A tensor of a type that is no weight.',
  NOT_FINITE: 'A tensor holds NaN or infinity.',
  OTHER_BASE: 'The file is made for another base model than the checkpoint.',
  DUPLICATE_LAYER: 'Two modules of the file change the same layer.',
  NEEDS_MERGE: 'The file has modules that are not low-rank and merging them is not possible here.',
} as const;

export type LoraErrorCode = keyof typeof LORA_ERRORS;

/** A LoRA that cannot be applied; the message is one sentence without the file's name. */
export class LoraError extends Error {
  override readonly name = 'LoraError';
  readonly code: LoraErrorCode;
  constructor(code: LoraErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
