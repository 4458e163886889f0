/** The arithmetic of HyperTile (tfernd 2023) as the web UI has it, for one map of tokens. */

/**
 * Returns the largest power of two that divides both sides.
 *
 * @param width   pixels, integer >= 1
 * @param height  likewise
 */
export function largestTile(width: number, height: number): number {
  let side = 1;
  while (width % (side * 2) === 0 && height % (side * 2) === 0) side *= 2;
  return side;
}

/**
 * Returns into how many parts a side may be cut: fewest tokens a part, most parts, first.
 *
 * @param length   tokens along the side, integer >= 1
 * @param minimum  tokens a part should have at least; a shorter side is not cut
 * @param choices  sizes to choose from; at least one is
 */
export function listParts(length: number, minimum: number, choices: number): number[] {
  const parts: number[] = [];
  for (let size = Math.min(minimum, length); size <= length; size++) {
    if (length % size !== 0) continue;
    parts.push(length / size);
    if (parts.length >= choices) break;
  }
  return parts;
}

/**
 * Returns the sides that tokens are taken to be rows of, of which only the number is known.
 *
 * As in the web UI the sides of a picture that is not square come out swapped: a wide one's tiles are
 * stripes of its rows. It is what HyperTile's pictures look like there.
 *
 * @param tokens  integer >= 1
 * @param aspect  width / height of the picture
 */
export function guessSides(
  tokens: number,
  aspect: number,
): readonly [height: number, width: number] {
  const [height, width] = [tokens * aspect, tokens / aspect].map((area) =>
    roundHalfToEven(Math.sqrt(area)),
  ) as [number, number];
  if (height * width === tokens) return [height, width];
  if (tokens % height === 0) return [height, tokens / height];
  if (tokens % width === 0) return [tokens / width, width];
  return closestSides(tokens, aspect);
}

/** Of all sides the ones whose width / height is closest; the first of equals. */
function closestSides(tokens: number, aspect: number): readonly [height: number, width: number] {
  let best: readonly [number, number] = [tokens, 1];
  let least = Number.POSITIVE_INFINITY;
  for (let height = 2; height <= tokens; height++) {
    if (tokens % height !== 0) continue;
    const distance = Math.abs(tokens / height / height - aspect);
    if (distance >= least) continue;
    least = distance;
    best = [height, tokens / height];
  }
  return best;
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
