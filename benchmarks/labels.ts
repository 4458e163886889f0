/** What measurements are called; runs and peaks under one label are put together and compared. */

export const LOAD_LABEL = 'load, all networks';
export const TEXT_LABEL = 'text encode, 77 tokens';

/** @param rank  of the LoRA; 0 for none */
export function unetLabel(batch: number, size: number, rank = 0): string {
  return `UNet, batch ${batch}, ${size}x${size}${rank ? `, LoRA of rank ${rank}` : ''}`;
}

export function decodeLabel(size: number): string {
  return `VAE decode, ${size}x${size}`;
}

/** The peak of a process that had everything loaded and ran all networks. */
export function pictureLabel(size: number): string {
  return `a picture of ${size}x${size}, start to end`;
}

/** @param bytes  of the file */
export function loraLabel(rank: number, modules: number, bytes: number): string {
  return `LoRA of rank ${rank}, ${modules} modules, ${Math.round(bytes / 1e6)} MB`;
}
