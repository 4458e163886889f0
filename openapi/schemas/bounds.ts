/** What one field of a request may say. Bounds over several fields live in `server/limits.ts`. */

/** Pixels. 64 is the smallest side with an even latent at every level of the UNet. */
export const MIN_SIDE = 64;
/** Pixels. Hires results of 4096 are the largest that people post; attention grows with side^4. */
export const MAX_SIDE = 4_096;
/** Steps; A1111's own slider ends here. */
export const MAX_STEPS = 150;
/** Pictures of one pass; eight times the largest slider value of A1111. */
export const MAX_BATCH_SIZE = 64;
/** Iterations; A1111's slider ends here. */
export const MAX_N_ITER = 100;
/** Guidance; A1111's slider ends at 30, some people's X/Y plots at 100. */
export const MAX_CFG_SCALE = 100;
/** UTF-16 units; the longest real prompts are near 5,000. */
export const MAX_PROMPT_CHARS = 20_000;
/** UTF-16 units of a name (sampler, style, checkpoint); paths end at 4,096 bytes. */
export const MAX_NAME_CHARS = 1_024;
/** Largest integer seed: the noise generators take 32 bits. */
export const MAX_SEED = 2 ** 32 - 1;
/** Styles in one request; a styles.csv of 500 rows is large. */
export const MAX_STYLES = 100;
/** LoRAs in the `lora` field; prompts with more than 20 are not seen. */
export const MAX_LORAS = 64;
/** Weight of a LoRA, either way: tags take any number, and the networks compute in f32. */
export const MAX_LORA_WEIGHT = 1e38;
