/** Grids with captions above their columns and beside their rows, as X/Y/Z plot draws them. */
import { GLYPH_ADVANCE, GLYPH_HEIGHT, glyphCells } from './bitmap-font.ts';
import { ImageError } from './errors.ts';
import { assertRgbImage, type RgbColor, type RgbImage } from './rgb-image.ts';

/** One caption; a struck one is grey with a line through it. */
export interface Caption {
  text: string;
  isStruck?: boolean;
}

export interface LegendGridOptions {
  columns: number;
  /** Captions of each column, one below the other; empty for none. */
  columnCaptions?: readonly (readonly Caption[])[];
  rowCaptions?: readonly (readonly Caption[])[];
  /** Pixels between two cells. */
  margin?: number;
  background?: RgbColor;
}

/** Pixels of a cell's width and height together, per pixel of a glyph's height, as the web UI's font size. */
const SIDES_PER_FONT_PIXEL = 25;
/** Share of a cell's width that captions beside rows get. */
const ROW_CAPTION_SHARE = 0.75;
/** Rows of glyph cells between two lines. */
const LINE_GAP = 3;
const INK: RgbColor = [0, 0, 0];
const STRUCK_INK: RgbColor = [153, 153, 153];

/**
 * Returns pictures side by side, row by row, with captions. Cells have the size of the largest
 * picture; smaller ones are centred.
 *
 * @param images  at least one, at most `columns` per row; not changed
 * @throws ImageError `INVALID_ARGUMENT`
 */
export function makeLegendGrid(images: readonly RgbImage[], options: LegendGridOptions): RgbImage {
  const { columns, margin = 0, background = [255, 255, 255] } = options;
  if (images.length === 0 || columns < 1) {
    throw new ImageError('INVALID_ARGUMENT', 'Expected at least one picture for a grid.');
  }
  images.forEach(assertRgbImage);
  const rows = Math.ceil(images.length / columns);
  const cellWidth = Math.max(...images.map(({ width }) => width));
  const cellHeight = Math.max(...images.map(({ height }) => height));
  const scale = Math.max(
    1,
    Math.round((cellWidth + cellHeight) / SIDES_PER_FONT_PIXEL / GLYPH_HEIGHT),
  );
  const lineHeight = (GLYPH_HEIGHT + LINE_GAP) * scale;
  const { columnCaptions = [], rowCaptions = [] } = options;
  const left = hasText(rowCaptions) ? Math.floor(cellWidth * ROW_CAPTION_SHARE) : 0;
  const above = wrapAll(columnCaptions, cellWidth, scale);
  const beside = wrapAll(rowCaptions, left, scale);
  const top = hasText(columnCaptions)
    ? Math.max(...above.map((lines) => lines.length)) * lineHeight + lineHeight
    : 0;
  const width = left + columns * cellWidth + (columns - 1) * margin;
  const height = top + rows * cellHeight + (rows - 1) * margin;
  const grid = { width, height, rgb: Buffer.alloc(width * height * 3, Buffer.from(background)) };
  const x = (column: number) => left + column * (cellWidth + margin);
  const y = (row: number) => top + row * (cellHeight + margin);
  images.forEach((image, i) => {
    const dx = (cellWidth - image.width) >> 1;
    const dy = (cellHeight - image.height) >> 1;
    paste(grid, image, x(i % columns) + dx, y(Math.floor(i / columns)) + dy);
  });
  above.forEach((lines, column) => {
    const begin = (top - lines.length * lineHeight) >> 1;
    drawLines(grid, lines, { x: x(column), y: begin, width: cellWidth, scale, lineHeight });
  });
  beside.forEach((lines, row) => {
    const begin = y(row) + ((cellHeight - lines.length * lineHeight) >> 1);
    drawLines(grid, lines, { x: 0, y: begin, width: left, scale, lineHeight });
  });
  return grid;
}

function hasText(captions: readonly (readonly Caption[])[]): boolean {
  return captions.some((group) => group.some(({ text }) => text !== ''));
}

function wrapAll(captions: readonly (readonly Caption[])[], width: number, scale: number) {
  const characters = Math.max(1, Math.floor(width / (GLYPH_ADVANCE * scale)));
  return captions.map((group) =>
    group.flatMap(({ text, isStruck }) =>
      wrapText(text, characters).map((line) => ({ text: line, isStruck })),
    ),
  );
}

/** Breaks a text into lines of at most `characters`, at blanks where there are any. */
export function wrapText(text: string, characters: number): string[] {
  const lines: string[] = [];
  let line: string[] = [];
  for (const word of text.split(/\s+/)) {
    let rest = [...word];
    if (line.length > 0 && line.length + 1 + rest.length > characters) {
      lines.push(line.join(''));
      line = [];
    }
    while (rest.length > characters) {
      lines.push(rest.slice(0, characters).join(''));
      rest = rest.slice(characters);
    }
    line = line.length === 0 ? rest : [...line, ' ', ...rest];
  }
  return [...lines, line.join('')];
}

function paste(grid: RgbImage, image: RgbImage, left: number, top: number): void {
  const rowBytes = image.width * 3;
  for (let row = 0; row < image.height; row++) {
    const from = image.rgb.subarray(row * rowBytes, (row + 1) * rowBytes);
    grid.rgb.set(from, ((top + row) * grid.width + left) * 3);
  }
}

interface Place {
  x: number;
  y: number;
  width: number;
  scale: number;
  lineHeight: number;
}

/** Writes lines below one another, each centred in the width. */
function drawLines(grid: RgbImage, lines: readonly Caption[], place: Place): void {
  const { scale } = place;
  lines.forEach(({ text, isStruck }, i) => {
    const ink = isStruck === true ? STRUCK_INK : INK;
    const characters = [...text];
    const textWidth = characters.length * GLYPH_ADVANCE * scale;
    const x = place.x + ((place.width - textWidth) >> 1);
    const y = place.y + i * place.lineHeight;
    characters.forEach((character, at) => {
      for (const [column, row] of glyphCells(character)) {
        const left = x + (at * GLYPH_ADVANCE + column) * scale;
        fill(grid, left, y + row * scale, scale, scale, ink);
      }
    });
    if (isStruck === true) fill(grid, x, y + 4 * scale, textWidth, scale, ink);
  });
}

/** Fills a rectangle; what lies outside the picture is left out. */
function fill(grid: RgbImage, x: number, y: number, width: number, height: number, ink: RgbColor) {
  const right = Math.min(x + width, grid.width);
  const bottom = Math.min(y + height, grid.height);
  for (let row = Math.max(y, 0); row < bottom; row++) {
    for (let column = Math.max(x, 0); column < right; column++) {
      grid.rgb.set(ink, (row * grid.width + column) * 3);
    }
  }
}
