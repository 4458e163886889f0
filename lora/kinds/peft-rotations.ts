/**
 * OFT and BOFT as PEFT stores them: W's columns turned, where LyCORIS turns rows.
 *
 * OFT: `oft_R` [k, b·(b - 1)/2], the upper triangles of skew-symmetric Q; one block stands for all where k
 * is 1. PEFT computes R as a series by default, I + 2Q + 2Q² + 2Q³ + Q⁴, and its files do not say otherwise.
 * BOFT: `boft_R` [m, k, b, b], m stages between which columns are shuffled, R = (I - Q)(I + Q)⁻¹ with
 * Q = (B - Bᵀ)/2, and `boft_s`, a factor for each row.
 */
import { LoraError } from '../errors.ts';
import { invert, matrixOf, type Tensor } from './algebra.ts';
import { check, checkBlockWidth, need, type Parts } from './kind.ts';

/** Width of the blocks of which a row of `oft_R` holds the upper triangle; a fraction where there is none. */
export function blockWidth(count: number): number {
  return (1 + Math.sqrt(1 + 8 * count)) / 2;
}

/** Returns the turned weight, f32 in W's order. @throws LoraError SHAPE_CONTRADICTION, NOT_FINITE */
export function turnColumns(weight: Tensor, parts: Parts): Float32Array {
  const [out, columns] = matrixOf(weight);
  const triangles = parts.get('oft_R');
  if (triangles) {
    const [k, count] = matrixOf(triangles);
    const b = blockWidth(count);
    check(Number.isInteger(b) && (k === 1 ? columns % b === 0 : k * b === columns), parts);
    checkBlockWidth(b);
    const blocks = expandSeries(triangles.data, k, b);
    const turn = (i: number) => (k === 1 ? 0 : i);
    return turnBlocks(weight.data, columns, b, (i) => blocks[turn(i)] as Float64Array);
  }
  const [stages, scales] = [need(parts, 'boft_R'), need(parts, 'boft_s').data];
  const [m = 0, k = 0, b = 0, width = 0] = stages.shape;
  check(stages.shape.length === 4 && b === width && k * b === columns, parts);
  check(scales.length === out && (m === 1 || columns % (b * 2 ** (m - 1)) === 0), parts);
  checkBlockWidth(b);
  let rows = weight.data;
  for (let stage = 0; stage < m; stage++) {
    const order = shuffle(columns, k / 2 ** stage, b / 2, m);
    const turned = turnBlocks(pick(rows, columns, order), columns, b, (i) =>
      rotationOf(stages.data, (stage * k + i) * b * b, b),
    );
    rows = put(turned, columns, order);
  }
  return rows.map((value, i) => value * (scales[Math.floor(i / columns)] as number));
}

/** Each row's blocks x become R·x. */
function turnBlocks(
  rows: Float32Array,
  columns: number,
  b: number,
  blockAt: (i: number) => Float64Array,
): Float32Array {
  const turned = new Float32Array(rows.length);
  for (let block = 0; block < columns / b; block++) {
    const rotation = blockAt(block);
    for (let start = block * b; start < rows.length; start += columns) {
      for (let to = 0; to < b; to++) {
        let sum = 0;
        for (let from = 0; from < b; from++) {
          sum += (rotation[to * b + from] as number) * (rows[start + from] as number);
        }
        turned[start + to] = sum;
      }
    }
  }
  return turned;
}

/** R of every block by PEFT's series. */
function expandSeries(triangles: Float32Array, k: number, b: number): Float64Array[] {
  const count = (b * (b - 1)) / 2;
  return Array.from({ length: k }, (_, block) => {
    const q = new Float64Array(b * b);
    let at = block * count;
    for (let i = 0; i < b; i++) {
      for (let j = i + 1; j < b; j++) {
        q[i * b + j] = triangles[at] as number;
        q[j * b + i] = -(triangles[at++] as number);
      }
    }
    const sum = new Float64Array(b * b);
    for (let i = 0; i < b; i++) sum[i * b + i] = 1;
    let power: Float64Array = q;
    [2, 2, 2, 1].forEach((factor, n) => {
      if (n > 0) power = square(power, q, b);
      for (let i = 0; i < sum.length; i++) {
        sum[i] = (sum[i] as number) + factor * (power[i] as number);
      }
    });
    return sum;
  });
}

function square(left: Float64Array, right: Float64Array, b: number): Float64Array {
  const product = new Float64Array(b * b);
  for (let i = 0; i < b; i++) {
    for (let j = 0; j < b; j++) {
      let sum = 0;
      for (let r = 0; r < b; r++) sum += (left[i * b + r] as number) * (right[r * b + j] as number);
      product[i * b + j] = sum;
    }
  }
  return product;
}

function rotationOf(data: Float32Array, start: number, b: number): Float64Array {
  const plus = new Float64Array(b * b);
  const minus = new Float64Array(b * b);
  for (let i = 0; i < b; i++) {
    for (let j = 0; j < b; j++) {
      const q = ((data[start + i * b + j] as number) - (data[start + j * b + i] as number)) / 2;
      const one = i === j ? 1 : 0;
      plus[i * b + j] = one + q;
      minus[i * b + j] = one - q;
    }
  }
  const inverse = invert(plus, b);
  if (!inverse) throw new LoraError('NOT_FINITE', 'one of its rotations cannot be computed');
  return square(minus, inverse, b);
}

/**
 * Where each column of a stage comes from: within `blocks` equal parts the even pieces of `size` columns, then
 * the odd ones. With a single stage nothing moves.
 */
function shuffle(columns: number, blocks: number, size: number, stages: number): Uint32Array {
  const order = Uint32Array.from({ length: columns }, (_, i) => i);
  if (stages === 1) return order;
  const length = columns / blocks;
  const pieces = length / size;
  for (let i = 0; i < columns; i++) {
    const [part, within] = [Math.floor(i / length), i % length];
    const at = Math.floor(within / size);
    const even = Math.ceil(pieces / 2);
    const piece = at < even ? 2 * at : 2 * (at - even) + 1;
    order[i] = part * length + piece * size + (within % size);
  }
  return order;
}

/** Rows with column order[i] put to i as the transposed permutation does: the inverse of `put`. */
function pick(rows: Float32Array, columns: number, order: Uint32Array): Float32Array {
  const picked = new Float32Array(rows.length);
  for (let start = 0; start < rows.length; start += columns) {
    for (let i = 0; i < columns; i++) {
      picked[start + (order[i] as number)] = rows[start + i] as number;
    }
  }
  return picked;
}

function put(rows: Float32Array, columns: number, order: Uint32Array): Float32Array {
  const moved = new Float32Array(rows.length);
  for (let start = 0; start < rows.length; start += columns) {
    for (let i = 0; i < columns; i++) {
      moved[start + i] = rows[start + (order[i] as number)] as number;
    }
  }
  return moved;
}
