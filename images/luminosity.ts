/** Luminosity as the blend modes of PDF (ISO 32000-1, 11.3.5.3) define it; channels are 0 … 1. */

type Color = readonly [red: number, green: number, blue: number];

/** Returns how light a colour looks, 0 … 1. */
export function lumaOf(red: number, green: number, blue: number): number {
  return 0.3 * red + 0.59 * green + 0.11 * blue;
}

/** Returns the colour with another luminosity; what leaves 0 … 1 is drawn towards grey. */
export function setLuma(color: Color, luma: number): Color {
  const shift = luma - lumaOf(...color);
  const moved = color.map((value) => value + shift);
  const lowest = Math.min(...moved);
  const highest = Math.max(...moved);
  let factor = 1;
  if (lowest < 0) factor = Math.min(factor, luma / (luma - lowest));
  if (highest > 1) factor = Math.min(factor, (1 - luma) / (highest - luma));
  return moved.map((value) => luma + (value - luma) * factor) as unknown as Color;
}
