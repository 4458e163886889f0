import type { InfotextField } from '../../images/infotext.ts';
import type { HyperTileOptions } from '../job-options.ts';

/** What the infotext does not say: the options' defaults. */
const USUAL = {
  'U-Net': { maxDepth: 3, maxTile: 256, swapSize: 3 },
  VAE: { maxDepth: 3, maxTile: 128, swapSize: 3 },
} as const;

function describeCuts(
  name: keyof typeof USUAL,
  { maxDepth, maxTile, swapSize }: HyperTileOptions['vae'],
): InfotextField[] {
  const usual = USUAL[name];
  return [
    [`Hypertile ${name} max depth`, maxDepth === usual.maxDepth ? null : maxDepth],
    [`Hypertile ${name} max tile size`, maxTile === usual.maxTile ? null : maxTile],
    [`Hypertile ${name} swap size`, swapSize === usual.swapSize ? null : swapSize],
  ];
}

/** Returns HyperTile's pairs of an infotext, in the web UI's words; they come before all others. */
export function describeHyperTile({ unet, vae }: HyperTileOptions): InfotextField[] {
  const fields: InfotextField[] = [];
  if (unet.isEnabled) fields.push(['Hypertile U-Net', true], ...describeCuts('U-Net', unet));
  if (vae.isEnabled) fields.push(['Hypertile VAE', true], ...describeCuts('VAE', vae));
  return fields.filter(([, value]) => value !== null);
}

/** Returns those that come last: of tiles in the second pass of a hires fix alone. */
export function describeSecondPassTiles({ unet }: HyperTileOptions): InfotextField[] {
  if (unet.isEnabled || !unet.inSecondPass) return [];
  const fields: InfotextField[] = [
    ['Hypertile U-Net second pass', true],
    ...describeCuts('U-Net', unet),
  ];
  return fields.filter(([, value]) => value !== null);
}
