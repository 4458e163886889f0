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
 * Any size works; it is fast where the sides are small multiples of powers of two.
 *
 * @param inverse  whether to go back
 */
export function transformPlane({ width, height, re, im }: ComplexPlane, inverse: boolean): void {
  const row = makeTransform(width, inverse);
  const line = { re: new Float64Array(width), im: new Float64Array(width) };
  for (let y = 0; y < height; y++) {
    const at = y * width;
    line.re.set(re.subarray(at, at + width));
    line.im.set(im.subarray(at, at + width));
    const done = row(line);
    re.set(done.re, at);
    im.set(done.im, at);
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
  }
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

  function step(source: Line, from: number, stride: number, n: number, target: Line, at: number) {
    if (n % 2 === 1) return sumUp(source, from, stride, n, target, at);
    const half = n / 2;
    step(source, from, stride * 2, half, target, at);
    step(source, from + stride, stride * 2, half, target, at + half);
    for (let k = 0; k < half; k++) {
      const [c, s] = [cos[k * stride]!, sin[k * stride]!];
      const [even, odd] = [at + k, at + half + k];
      const re = target.re[odd]! * c - target.im[odd]! * s;
      const im = target.re[odd]! * s + target.im[odd]! * c;
      target.re[odd] = target.re[even]! - re;
      target.im[odd] = target.im[even]! - im;
      target.re[even]! += re;
      target.im[even]! += im;
    }
  }

  function sumUp(source: Line, from: number, stride: number, n: number, target: Line, at: number) {
    for (let k = 0; k < n; k++) {
      let [re, im] = [0, 0];
      for (let i = 0; i < n; i++) {
        const turn = ((i * k) % n) * stride;
        const [c, s] = [cos[turn]!, sin[turn]!];
        const [a, b] = [source.re[from + i * stride]!, source.im[from + i * stride]!];
        re += a * c - b * s;
        im += a * s + b * c;
      }
      target.re[at + k] = re;
      target.im[at + k] = im;
    }
  }

  const target = { re: new Float64Array(size), im: new Float64Array(size) };
  return (line) => {
    step(line, 0, 1, size, target, 0);
    for (let i = 0; i < size; i++) {
      target.re[i]! *= scale;
      target.im[i]! *= scale;
    }
    return target;
  };
}
