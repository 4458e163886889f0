import { readFileSync } from 'node:fs';

/** Returns a recorded file of this area; `generate.py` beside it says how it was made. */
export function readFixture(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/images/${name}`, import.meta.url));
}

interface Expected {
  plain: string;
  wide: string;
  /** The EXIF block that holds `wide`, read back by Pillow; hex. */
  wideExif: string;
  /** Pixels as Pillow decodes them, row by row. */
  pixels: Record<string, number[]>;
}

export const EXPECTED: Expected = JSON.parse(readFixture('expected.json').toString());
