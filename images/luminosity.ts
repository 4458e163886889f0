/**
 * Luminosity as a blend mode (ISO 32000-1, 11.3.5.3), with the weights of ITU-R BT.601 and in the order
 * of steps that the web UI's library has; channels are 0 … 1.
 */

type Color = readonly [red: number, green: number, blue: number];

/** Returns how light a colour looks, 0 … 1. */
export function lumaOf(red: number, green: number, blue: number): number {
  return 0.299 * red + 0.587 * green + 0.114 * blue;
}

/**
 * Returns the colour with another luminosity. What leaves 0 … 1 is drawn towards grey: below 0 first, then
 * above 1 by what stood out before, so that a colour beyond both ends is drawn twice.
 */
export function setLuma(color: Color, luma: number): Color {
  const shift = luma - lumaOf(...color);
  const moved = color.map((value) => value + shift);
  const lowest = Math.min(...moved);
  const highest = Math.max(...moved);
  let factor = 1;
  if (lowest < 0) factor *= luma / (luma - lowest);
  if (highest > 1) factor *= (1 - luma) / (highest - luma);
  return moved.map((value) => luma + (value - luma) * factor) as unknown as Color;
}
