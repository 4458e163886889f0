/** The few products that the kinds of LoRAs are made of, in f32 with row-major arrays. */

/** Numbers and their shape. */
export interface Tensor {
  data: Float32Array;
  shape: readonly number[];
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Rows of a tensor, and how many numbers each has. */
export function matrixOf({ data, shape }: Tensor): [rows: number, columns: number] {
  const rows = shape[0] ?? 1;
  return [rows, rows === 0 ? 0 : data.length / rows];
}

/** a [n, r] · b [r, m] → [n, m]; both flattened behind their first dimension. */
export function multiply(a: Tensor, b: Tensor): Float32Array {
  const [n, r] = matrixOf(a);
  const [, m] = matrixOf(b);
  const out = new Float32Array(n * m);
  for (let i = 0; i < n; i++) {
    const row = out.subarray(i * m, (i + 1) * m);
    for (let k = 0; k < r; k++) {
      const factor = a.data[i * r + k] as number;
      const from = k * m;
      for (let j = 0; j < m; j++)
        row[j] = (row[j] as number) + factor * (b.data[from + j] as number);
    }
  }
  return out;
}

/**
 * Rebuilds a CP decomposition: out[p, q, k] = Σ_ij core[i, j, k] · a[i, p] · b[j, q].
 *
 * @returns [p, q, …kernel of the core]
 */
export function rebuildCore(core: Tensor, a: Tensor, b: Tensor): Tensor {
  const [i, j, ...kernel] = core.shape as [number, number, ...number[]];
  const k = sizeOf(kernel);
  const [, p] = matrixOf(a);
  const [, q] = matrixOf(b);
  // First over j: half[i, q, k].
  const half = new Float32Array(i * q * k);
  for (let x = 0; x < i; x++) {
    for (let y = 0; y < j; y++) {
      for (let column = 0; column < q; column++) {
        const factor = b.data[y * q + column] as number;
        const from = (x * j + y) * k;
        const to = (x * q + column) * k;
        for (let z = 0; z < k; z++) {
          half[to + z] = (half[to + z] as number) + factor * (core.data[from + z] as number);
        }
      }
    }
  }
  const rows = { data: transpose(a.data, i, p), shape: [p, i] };
  return { data: multiply(rows, { data: half, shape: [i, q * k] }), shape: [p, q, ...kernel] };
}

/** [rows, columns] → [columns, rows]. */
export function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j] as number;
  }
  return out;
}

/** Kronecker product of a [n, m] and b [p, q, k] → [n·p, m·q, k]. */
export function kronecker(a: Tensor, b: Tensor): Float32Array {
  const [n, m] = matrixOf(a);
  const [p, q, ...kernel] = b.shape as [number, number, ...number[]];
  const k = sizeOf(kernel);
  const out = new Float32Array(n * m * p * q * k);
  for (let i = 0; i < n; i++) {
    for (let x = 0; x < p; x++) {
      for (let j = 0; j < m; j++) {
        const factor = a.data[i * m + j] as number;
        const from = x * q * k;
        const to = ((i * p + x) * m + j) * q * k;
        for (let z = 0; z < q * k; z++) out[to + z] = factor * (b.data[from + z] as number);
      }
    }
  }
  return out;
}

/**
 * Inverts a square matrix by Gauss-Jordan elimination with pivots, in double precision.
 *
 * @returns null when it is singular
 */
export function invert(matrix: Float64Array, n: number): Float64Array | null {
  const a = Float64Array.from(matrix);
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) out[i * n + i] = 1;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++) {
      const size = Math.abs(a[row * n + column] as number);
      if (size > Math.abs(a[pivot * n + column] as number)) pivot = row;
    }
    const value = a[pivot * n + column] as number;
    if (value === 0 || !Number.isFinite(value)) return null;
    for (const side of [a, out]) {
      for (let j = 0; j < n; j++) {
        const upper = side[pivot * n + j] as number;
        side[pivot * n + j] = side[column * n + j] as number;
        side[column * n + j] = upper / value;
      }
    }
    for (let row = 0; row < n; row++) {
      const factor = a[row * n + column] as number;
      if (row === column || factor === 0) continue;
      for (const side of [a, out]) {
        for (let j = 0; j < n; j++) {
          side[row * n + j] =
            (side[row * n + j] as number) - factor * (side[column * n + j] as number);
        }
      }
    }
  }
  return out;
}
