import { setImmediate } from 'node:timers/promises';
import { type ComplexPlane, toComplex, transformPlane } from './fft.ts';
import type { Raster } from './raster.ts';

const CHANNELS = 3;
/** Start of the noise; what differs between two pictures comes from their seeds, later. */
const NOISE_SEED = 0x9e3779b9;
/** Mask above which a pixel is matched, and below which it is an example. */
const MATCHED = 1e-6;
const EXAMPLE = 1e-3;

export interface NoiseShape {
  /** Exponent of the picture's spectrum: 1 is its own, lower is flatter. */
  falloff: number;
  /** How colourful the noise is, 0 … 1. */
  colorVariation: number;
}

/**
 * Returns a picture whose masked area holds noise with the spectrum and the colours of the rest, which is what
 * "Outpainting mk2" lets a model begin with.
 *
 * The event loop gets its turn in between.
 *
 * @param image  three channels; black where nothing is; not changed
 * @param mask   one channel, same size, 255 = to be filled; not changed
 */
export async function matchNoise(image: Raster, mask: Raster, shape: NoiseShape): Promise<Raster> {
  const { width, height } = image;
  const shares = Float64Array.from(mask.data, (value) => value / 255);
  const channels = split(image);
  const noise = makeNoise(width * height, shape.colorVariation);
  const shaped: Float64Array[] = [];
  const rest = channels.map((channel) => channel.map((value, i) => value * (1 - shares[i]!)));
  const highest = Math.max(1e-9, ...rest.map(maximum));
  const average = channels.reduce((sum, channel) => sum + mean(channel), 0) / CHANNELS;
  for (let c = 0; c < CHANNELS; c++) {
    const windowed = rest[c]!.map((value, i) => value / highest + average * shares[i]!);
    shaped.push(await shapeNoise(noise[c]!, windowed, width, height, shape.falloff));
  }
  const lowest = Math.min(...shaped.map(minimum));
  const span = Math.max(1e-9, Math.max(...shaped.map(maximum)) - lowest);
  const data = new Uint8Array(image.data.length);
  for (let c = 0; c < CHANNELS; c++) {
    const channel = channels[c]!;
    const levelled = shaped[c]!.map((value) => (value - lowest) / span);
    await setImmediate();
    const matched = matchValues(levelled, channel, shares);
    for (let i = 0; i < matched.length; i++) {
      const value = channel[i]! * (1 - shares[i]!) + matched[i]! * shares[i]!;
      data[i * CHANNELS + c] = Math.trunc(Math.min(1, Math.max(0, value)) * 255);
    }
  }
  // What is not masked stays to the bit.
  for (let i = 0; i < shares.length; i++) {
    if (shares[i] === 0) data.set(image.data.subarray(i * 3, i * 3 + 3), i * 3);
  }
  return { width, height, channels: CHANNELS, data };
}

/** Noise of falling spectrum, brought to the magnitudes of a picture at its phases. */
async function shapeNoise(
  noise: Float64Array,
  picture: Float64Array,
  width: number,
  height: number,
  falloff: number,
): Promise<Float64Array> {
  const source = toComplex(width, height, picture);
  await transformPlane(source, false);
  const spectrum = toComplex(width, height, noise);
  await transformPlane(spectrum, false);
  fadeHigh(spectrum);
  for (let i = 0; i < source.re.length; i++) {
    const magnitude = Math.sqrt(source.re[i]! ** 2 + source.im[i]! ** 2);
    const power = spectrum.re[i]! ** 2 + spectrum.im[i]! ** 2;
    const factor = magnitude > 0 ? (power * magnitude ** falloff) / magnitude : 0;
    source.re[i]! *= factor;
    source.im[i]! *= factor;
  }
  await transformPlane(source, true);
  return source.re;
}

/** Damps a spectrum by 1 / ((1 + x²)(1 + y²)); the shorter side's highest frequency is at 1. */
function fadeHigh({ width, height, re, im }: ComplexPlane): void {
  const shorter = Math.min(width, height);
  const place = (k: number, size: number) => (2 * (k < size / 2 ? k : k - size)) / shorter;
  for (let y = 0; y < height; y++) {
    const row = 1 / (1 + place(y, height) ** 2);
    for (let x = 0; x < width; x++) {
      const factor = row / (1 + place(x, width) ** 2);
      re[y * width + x]! *= factor;
      im[y * width + x]! *= factor;
    }
  }
}

/** The masked values with the distribution of the unmasked ones of the picture. */
function matchValues(
  values: Float64Array,
  picture: Float64Array,
  shares: Float64Array,
): Float64Array {
  const examples = picture.filter((_, i) => shares[i]! < EXAMPLE).sort();
  const masked = values.filter((_, i) => shares[i]! > MATCHED).sort();
  if (examples.length === 0) return values;
  return values.map((value, i) => {
    if (shares[i]! <= MATCHED) return value;
    const rank = countUpTo(masked, value) / masked.length;
    return examples[Math.max(0, Math.ceil(rank * examples.length) - 1)]!;
  });
}

/** How many of some sorted values are at most this. */
function countUpTo(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Uniform noise 0 … 1, one plane per channel, drawn towards grey. */
function makeNoise(pixels: number, colorVariation: number): Float64Array[] {
  const random = createRandom(NOISE_SEED);
  const planes = Array.from({ length: CHANNELS }, () => new Float64Array(pixels));
  for (let i = 0; i < pixels; i++) {
    let grey = 0;
    for (const plane of planes) {
      plane[i] = random();
      grey += plane[i]! / CHANNELS;
    }
    for (const plane of planes) {
      plane[i] = plane[i]! * colorVariation + grey * (1 - colorVariation);
    }
  }
  return planes;
}

/** Steele and Vigna's splitmix in 32 bits: a stream of numbers below 1. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

function split({ data }: Raster): Float64Array[] {
  return Array.from({ length: CHANNELS }, (_, c) =>
    Float64Array.from({ length: data.length / CHANNELS }, (_, i) => data[i * CHANNELS + c]! / 255),
  );
}

const maximum = (values: Float64Array) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const minimum = (values: Float64Array) => values.reduce((a, b) => Math.min(a, b), Infinity);
const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;
