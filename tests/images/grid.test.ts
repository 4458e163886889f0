import { describe, expect, it } from 'vitest';
import { gridShape, makeGrid } from '../../images/grid.ts';

/** A picture of one colour. */
function plain(width: number, height: number, value: number) {
  return { width, height, rgb: new Uint8Array(width * height * 3).fill(value) };
}

/** The red channel as rows of numbers. */
function reds({ width, rgb }: { width: number; rgb: Uint8Array }): number[][] {
  const rows: number[][] = [];
  for (let i = 0; i < rgb.length; i += 3) {
    if (i % (width * 3) === 0) rows.push([]);
    rows.at(-1)?.push(rgb[i] ?? -1);
  }
  return rows;
}

describe('shape', () => {
  it.each([
    [1, 1, 1],
    [2, 1, 2],
    [3, 2, 2],
    [4, 2, 2],
    [5, 2, 3],
    [6, 2, 3],
    [7, 3, 3],
    [8, 3, 3],
    [12, 3, 4],
    [13, 4, 4],
    [100, 10, 10],
  ])('%i pictures take %i rows of %i', (count, rows, columns) => {
    expect(gridShape(count)).toEqual({ rows, columns });
  });

  it('follows the option n_rows, never beyond the pictures', () => {
    expect(gridShape(6, { nRows: 3 })).toEqual({ rows: 3, columns: 2 });
    expect(gridShape(2, { nRows: 9 })).toEqual({ rows: 2, columns: 1 });
    expect(gridShape(8, { nRows: 0, batchSize: 4 })).toEqual({ rows: 4, columns: 2 });
  });
});

describe('picture', () => {
  it('goes row by row and leaves the last cells to the background', () => {
    const grid = makeGrid([plain(2, 1, 1), plain(2, 1, 2), plain(2, 1, 3)], [9, 8, 7]);
    expect([grid.width, grid.height]).toEqual([4, 2]);
    expect(reds(grid)).toEqual([
      [1, 1, 2, 2],
      [3, 3, 9, 9],
    ]);
    expect([...grid.rgb.slice(-3)]).toEqual([9, 8, 7]);
  });

  it('centres smaller pictures in cells of the largest', () => {
    const grid = makeGrid([plain(4, 3, 1), plain(1, 1, 2)]);
    expect(reds(grid)).toEqual([
      [1, 1, 1, 1, 255, 255, 255, 255],
      [1, 1, 1, 1, 255, 2, 255, 255],
      [1, 1, 1, 1, 255, 255, 255, 255],
    ]);
  });

  it('needs at least one', () => {
    expect(() => makeGrid([])).toThrow('Expected at least one picture for a grid.');
  });

  it('refuses one whose buffer does not fit', () => {
    expect(() => makeGrid([{ width: 2, height: 2, rgb: new Uint8Array(11) }])).toThrow(
      /Expected 12 bytes/,
    );
  });
});
