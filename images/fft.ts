import { setImmediate } from 'node:timers/promises';

/** Numbers that are transformed before the event loop gets its turn: some 10 ms. */
const NUMBERS_PER_TURN = 64 * 1_024;

/** A plane of complex numbers, row by row. */
export interface ComplexPlane {
  width: number;
  height: number;
  re: Float64Array;
  im: Float64Array;
}

/** Returns a plane of real numbers as complex ones. */
export function toComplex(width: number, height: number, re: Float64Array): ComplexPlane {
  return { width, height, re, im: new Float64Array(re.length) };
}

/**
 * Transforms a plane in place with the discrete Fourier transform, scaled so that the inverse is its mirror.
 *
 * Any size works; it is fast where the sides are small multiples of powers of two. The event loop gets its turn
 * in between.
 *
 * @param inverse  whether to go back
 */
export async function transformPlane(
  { width, height, re, im }: ComplexPlane,
  inverse: boolean,
): Promise<void> {
  const rest = createRest();
  const row = makeTransform(width, inverse);
  const line = { re: new Float64Array(width), im: new Float64Array(width) };
  for (let y = 0; y < height; y++) {
    const at = y * width;
    line.re.set(re.subarray(at, at + width));
    line.im.set(im.subarray(at, at + width));
    const done = row(line);
    re.set(done.re, at);
    im.set(done.im, at);
    await rest(width);
  }
  const column = makeTransform(height, inverse);
  const stack = { re: new Float64Array(height), im: new Float64Array(height) };
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      stack.re[y] = re[y * width + x]!;
      stack.im[y] = im[y * width + x]!;
    }
    const done = column(stack);
    for (let y = 0; y < height; y++) {
      re[y * width + x] = done.re[y]!;
      im[y * width + x] = done.im[y]!;
    }
    await rest(height);
  }
}

/** Returns what waits a turn whenever enough numbers have been worked on. */
function createRest(): (numbers: number) => Promise<void> | undefined {
  let done = 0;
  return (numbers) => {
    done += numbers;
    if (done < NUMBERS_PER_TURN) return undefined;
    done = 0;
    return setImmediate();
  };
}

interface Line {
  re: Float64Array;
  im: Float64Array;
}

/** Cooley and Tukey 1965: halves while it can, then the sum itself. */
function makeTransform(size: number, inverse: boolean): (line: Line) => Line {
  const sign = inverse ? 1 : -1;
  const cos = Float64Array.from({ length: size }, (_, k) => Math.cos((2 * Math.PI * k) / size));
  const sin = Float64Array.from(
    { length: size },
    (_, k) => sign * Math.sin((2 * Math.PI * k) / size),
  );
  const scale = 1 / Math.sqrt(size);
  const outRe = new Float64Array(size);
  const outIm = new Float64Array(size);

  function step(source: Line, from: number, stride: number, n: number, at: number) {
    if (n === 1) {
      outRe[at] = source.re[from]!;
      outIm[at] = source.im[from]!;
      return;
    }
    if (n % 2 === 1) return sumUp(source, from, stride, n, at);
    const half = n / 2;
    step(source, from, stride * 2, half, at);
    step(source, from + stride, stride * 2, half, at + half);
    for (let k = 0; k < half; k++) {
      const c = cos[k * stride]!;
      const s = sin[k * stride]!;
      const even = at + k;
      const odd = even + half;
      const a = outRe[odd]!;
      const b = outIm[odd]!;
      const re = a * c - b * s;
      const im = a * s + b * c;
      outRe[odd] = outRe[even]! - re;
      outIm[odd] = outIm[even]! - im;
      outRe[even]! += re;
      outIm[even]! += im;
    }
  }

  function sumUp(source: Line, from: number, stride: number, n: number, at: number) {
    for (let k = 0; k < n; k++) {
      let [re, im] = [0, 0];
      for (let i = 0; i < n; i++) {
        const turn = ((i * k) % n) * stride;
        const a = source.re[from + i * stride]!;
        const b = source.im[from + i * stride]!;
        re += a * cos[turn]! - b * sin[turn]!;
        im += a * sin[turn]! + b * cos[turn]!;
      }
      outRe[at + k] = re;
      outIm[at + k] = im;
    }
  }

  return (line) => {
    step(line, 0, 1, size, 0);
    for (let i = 0; i < size; i++) {
      outRe[i]! *= scale;
      outIm[i]! *= scale;
    }
    return { re: outRe, im: outIm };
  };
}
