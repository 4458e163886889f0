/** Sizes of a batch of latents: images, channels, rows, columns. */
export type LatentShape = readonly [batch: number, channels: number, height: number, width: number];

/** A batch of latents; f32, row-major, scaled as the UNet sees it. */
export interface Latent {
  data: Float32Array;
  shape: LatentShape;
}

/** One term of a linear combination: factor and vector. */
export type Term = readonly [factor: number, vector: Float32Array];

/**
 * Returns the number of values a shape holds.
 *
 * @param shape sizes of every axis
 * @returns product of the sizes
 */
export function countValues(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Writes a linear combination of vectors, the one operation every sampler step consists of.
 *
 * Sums are carried in double precision and rounded once per value.
 *
 * @param out   f32 [n]; overwritten; may be one of the terms
 * @param terms factor and vector f32 [n] of each summand; not changed
 * @returns out
 */
export function combine(out: Float32Array, ...terms: Term[]): Float32Array {
  const [first, second, third] = terms;
  if (terms.length === 2 && first && second) {
    const [a, u] = first;
    const [b, v] = second;
    for (let i = 0; i < out.length; i++) out[i] = a * u[i]! + b * v[i]!;
    return out;
  }
  if (terms.length === 3 && first && second && third) {
    const [a, u] = first;
    const [b, v] = second;
    const [c, w] = third;
    for (let i = 0; i < out.length; i++) out[i] = a * u[i]! + b * v[i]! + c * w[i]!;
    return out;
  }
  for (let i = 0; i < out.length; i++) {
    let sum = 0;
    for (const [factor, vector] of terms) sum += factor * vector[i]!;
    out[i] = sum;
  }
  return out;
}
