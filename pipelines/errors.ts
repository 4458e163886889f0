/** What can go wrong while a picture is made, beyond a broken file (CheckpointError) or session. */
export type PipelineErrorCode = 'NON_FINITE' | 'VAE_MISSING' | 'VAE_MISMATCH' | 'SIZES_DIFFER';

export class PipelineError extends Error {
  override name = 'PipelineError';
  readonly code: PipelineErrorCode;
  constructor(code: PipelineErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Checks that a network's output is all numbers; weights that are not, or overflow, end here
 * instead of in a black picture.
 *
 * @param stage  what was computed, e.g. `UNet`
 * @throws PipelineError NON_FINITE
 */
export function assertFinite(stage: string, checkpoint: string, values: Float32Array): void {
  // A sum is not finite as soon as one term is not; terms of opposite infinities make NaN.
  let sum = 0;
  for (const value of values) sum += value;
  if (Number.isFinite(sum)) return;
  throw new PipelineError(
    'NON_FINITE',
    `The ${stage} of ${checkpoint} produced values that are not numbers (NaN or infinity). ` +
      'The file is damaged, its weights overflow, or a LoRA has too great a weight.',
  );
}
