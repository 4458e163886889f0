/** The ways to enlarge a latent, as plain data: both processes read the list. */

import type { LatentFilter } from '../sampling/resize-latent.ts';

/** A way to enlarge a latent. */
export interface LatentUpscaleMode extends LatentFilter {
  /** What requests and infotexts call it. */
  name: string;
}

/** In the web UI's order. */
export const LATENT_UPSCALE_MODES: readonly LatentUpscaleMode[] = [
  { name: 'Latent', filter: 'bilinear', isAntialiased: false },
  { name: 'Latent (antialiased)', filter: 'bilinear', isAntialiased: true },
  { name: 'Latent (bicubic)', filter: 'bicubic', isAntialiased: false },
  { name: 'Latent (bicubic antialiased)', filter: 'bicubic', isAntialiased: true },
  { name: 'Latent (nearest)', filter: 'nearest', isAntialiased: false },
  { name: 'Latent (nearest-exact)', filter: 'nearest-exact', isAntialiased: false },
];

/** Finds a mode by its name; null for anything else, such as the name of an upscaler. */
export function findLatentMode(name: string): LatentUpscaleMode | null {
  return LATENT_UPSCALE_MODES.find((mode) => mode.name === name) ?? null;
}
