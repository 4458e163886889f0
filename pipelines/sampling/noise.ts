import { createGenerator, type NoiseSource, type NormalGenerator } from './generator.ts';
import { countValues, type LatentShape } from './latents.ts';
import { slerp } from './slerp.ts';

/** Pixels per latent cell. */
const CELL_PIXELS = 8;

type ImageShape = readonly [channels: number, height: number, width: number];

/** Successive unit normal tensors for one batch, and the seeds they belong to. */
export interface NoiseStream {
  /** Returns the next draw, a fresh f32 [batch, channels, height, width]. */
  next(): Float32Array;
  readonly shape: LatentShape;
  readonly seeds: readonly number[];
  readonly source: NoiseSource;
}

/** Everything that decides the noise of a batch. */
export interface NoiseOptions {
  source: NoiseSource;
  /** Latent sizes; the batch is the number of seeds. */
  shape: LatentShape;
  /** One integer per image. */
  seeds: readonly number[];
  /** One integer per image; used when subseedStrength is not 0. */
  subseeds?: readonly number[];
  /** 0 … 1; share of the subseed's noise. */
  subseedStrength?: number;
  /** Pixels; both > 0 draw the noise at that size and paste it centred. */
  seedResizeFromH?: number;
  seedResizeFromW?: number;
  /** ENSD: added to the seeds of every draw but the first; 0 = off. */
  etaNoiseSeedDelta?: number;
}

/**
 * Returns the noise of a batch as the web UI draws it: one generator per image, so that an image
 * does not depend on the batch it is made in.
 *
 * The first draw carries variation and seed resize; later draws are plain tensors from the same
 * generators, or from fresh ones when ENSD is set.
 *
 * @param options see NoiseOptions
 * @returns stream at its first draw
 */
export function createNoise(options: NoiseOptions): NoiseStream {
  const { source, shape, seeds, etaNoiseSeedDelta = 0 } = options;
  const imageShape: ImageShape = [shape[1], shape[2], shape[3]];
  const size = countValues(imageShape);
  let generators = seeds.map((seed) => createGenerator(source, seed));
  let isFirst = true;

  function stack(draw: (generator: NormalGenerator, image: number) => Float32Array): Float32Array {
    const batch = new Float32Array(seeds.length * size);
    generators.forEach((generator, image) => {
      batch.set(draw(generator, image), image * size);
    });
    return batch;
  }

  return {
    shape,
    seeds,
    source,
    next() {
      if (!isFirst) return stack((generator) => generator.normal(size));
      isFirst = false;
      const noise = stack((generator, image) => drawFirst(options, imageShape, generator, image));
      if (etaNoiseSeedDelta !== 0) {
        generators = seeds.map((seed) => createGenerator(source, seed + etaNoiseSeedDelta));
      }
      return noise;
    },
  };
}

/** The first tensor of one image: seed, variation, resize. */
function drawFirst(
  options: NoiseOptions,
  shape: ImageShape,
  generator: NormalGenerator,
  image: number,
): Float32Array {
  const { source, subseedStrength = 0, seedResizeFromH = 0, seedResizeFromW = 0 } = options;
  const drawn: ImageShape =
    seedResizeFromH > 0 && seedResizeFromW > 0
      ? [
          shape[0],
          Math.floor(seedResizeFromH / CELL_PIXELS),
          Math.floor(seedResizeFromW / CELL_PIXELS),
        ]
      : shape;
  const isResized = drawn[1] !== shape[1] || drawn[2] !== shape[2];
  const size = countValues(drawn);
  let noise = isResized
    ? createGenerator(source, options.seeds[image]!).normal(size)
    : generator.normal(size);
  if (subseedStrength !== 0) {
    const subseed = options.subseeds?.[image] ?? 0;
    noise = slerp(subseedStrength, noise, createGenerator(source, subseed).normal(size), drawn);
  }
  if (!isResized) return noise;
  return pasteCentred(generator.normal(countValues(shape)), shape, noise, drawn);
}

/** Writes the middle of `source` into the middle of `target`; offsets round down. */
function pasteCentred(
  target: Float32Array,
  [channels, height, width]: ImageShape,
  source: Float32Array,
  [, sourceHeight, sourceWidth]: ImageShape,
): Float32Array {
  const dy = Math.floor((height - sourceHeight) / 2);
  const dx = Math.floor((width - sourceWidth) / 2);
  const rows = dy >= 0 ? sourceHeight : sourceHeight + 2 * dy;
  const columns = dx >= 0 ? sourceWidth : sourceWidth + 2 * dx;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < rows; y++) {
      const from = (channel * sourceHeight + y + Math.max(-dy, 0)) * sourceWidth + Math.max(-dx, 0);
      const to = (channel * height + y + Math.max(dy, 0)) * width + Math.max(dx, 0);
      target.set(source.subarray(from, from + columns), to);
    }
  }
  return target;
}
