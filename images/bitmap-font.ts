/**
 * A small font that needs no file: text in pictures must look the same on every computer, and a
 * container often has no fonts at all.
 */

/** Cells of a glyph: five wide, seven above the line and two below, and one cell to the next. */
export const GLYPH_WIDTH = 5;
export const GLYPH_HEIGHT = 9;
export const GLYPH_ADVANCE = 6;

const FIRST_CHARACTER = 0x20;

/**
 * Printable ASCII from the space on: per glyph its columns from the left, two hexadecimal digits
 * of nine bits' lower eight, bit 0 the top row. No stroke of these glyphs reaches the ninth row.
 */
const COLUMNS = [
  ...['0000000000', '00005f0000', '0003000300', '143e143e14', '242a7f2a12', '4325083261'],
  ...['364956204c', '0000030000', '001c224100', '0041221c00', '2a1c081c2a', '08083e0808'],
  ...['0000b07000', '0808080808', '0000606000', '6018080c03', '3e5149453e', '44427f4040'],
  ...['6251494946', '2241494936', '1814127f10', '2f49494931', '3e49494932', '0171090503'],
  ...['3649494936', '264949493e', '0000363600', '0000b67600', '0814224100', '1414141414'],
  ...['0041221408', '020159090e', '3e415d551e', '7e0909097e', '7f49494936', '3e41414122'],
  ...['7f4141413e', '7f49494941', '7f09090901', '3e4149493a', '7f0808087f', '41417f4141'],
  ...['304040403f', '7f08142241', '7f40404040', '7f020c027f', '7f0608307f', '3e4141413e'],
  ...['7f09090906', '3e4151215e', '7f09192946', '2649494932', '01017f0101', '3f4040403f'],
  ...['0f3040300f', '3f4038403f', '6314081463', '0304780403', '6151494543', '007f414100'],
  ...['030c081860', '0041417f00', '0402010204', '4040404040', '0001020000', '2054545478'],
  ...['7f48444438', '3844444448', '384444487f', '3854545458', '087e090902', '18a4a4a47c'],
  ...['7f08040478', '00447d4000', '4080847d00', '7f10182440', '00417f4000', '7c04380478'],
  ...['7c08040478', '3844444438', 'fc24242418', '18242424fc', '7c08040408', '4854545424'],
  ...['043f444420', '3c4040207c', '1c2040201c', '3c4038403c', '4428102844', '1ca0a0a07c'],
  ...['4464544c44', '0836414100', '00007f0000', '0041413608', '0804080804'],
];

/** What stands for a character that the font lacks: a box. */
const MISSING = '7f4141417f';

/**
 * Returns the cells of one character that are ink.
 *
 * @param character  one code point; letters with marks are drawn without them
 * @returns pairs of column 0-4 and row 0-8
 */
export function glyphCells(character: string): [column: number, row: number][] {
  const base = character.normalize('NFD').codePointAt(0) ?? 0;
  const columns = COLUMNS[base - FIRST_CHARACTER] ?? MISSING;
  const cells: [number, number][] = [];
  for (let column = 0; column < GLYPH_WIDTH; column++) {
    const bits = Number.parseInt(columns.slice(column * 2, column * 2 + 2), 16);
    for (let row = 0; row < GLYPH_HEIGHT; row++) if ((bits >> row) & 1) cells.push([column, row]);
  }
  return cells;
}
