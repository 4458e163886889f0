/** Which layers of self-attention HyperTile takes, and how deep they count: the web UI's two tables. */

/** Transformer blocks that SDXL's tables name. */
const XL_BLOCKS = '[0-9]';

type Row = readonly [depth: number, names: RegExp];

const SD: readonly Row[] = [
  [0, layers('input_blocks.[12].1|output_blocks.(9|10|11).1', '0')],
  [1, layers('input_blocks.[45].1|output_blocks.[678].1', '0')],
  [2, layers('input_blocks.[78].1|output_blocks.[345].1', '0')],
  [3, layers('middle_block.1', '0')],
];

/** Depth does not follow the map's size here: of the larger one, the first block counts as 0. */
const SDXL: readonly Row[] = [
  [0, layers('input_blocks.[45].1|output_blocks.[345].1', '0')],
  [1, layers('input_blocks.[45].1|output_blocks.[345].1', '1')],
  [1, layers('input_blocks.[78].1|output_blocks.[012].1', XL_BLOCKS)],
  [2, layers('middle_block.1', XL_BLOCKS)],
];

/** @param blocks  pattern of one digit */
function layers(places: string, blocks: string): RegExp {
  const path = places.replaceAll('.', String.raw`\.`);
  return new RegExp(String.raw`^(?:${path})\.transformer_blocks\.${blocks}\.attn1$`);
}

/**
 * Returns the depth of a layer of the UNet; null for one that always sees the whole picture.
 *
 * @param name  in the checkpoint, without the UNet's prefix
 * @param isXl  whether it is SDXL's or its refiner's
 */
export function depthOf(name: string, isXl: boolean): number | null {
  const row = (isXl ? SDXL : SD).find(([, names]) => names.test(name));
  return row?.[0] ?? null;
}
