/** What a sparkle pass decides where a request leaves it open; every number from how people use SPO. */

import { MAX_SIDE, MAX_STEPS, MIN_SIDE } from '../openapi/schemas/bounds.ts';
import type { SparkleRequest } from '../openapi/schemas/sparkle.ts';
import { planSteps, stepsThatExecute } from '../pipelines/sampling/plan.ts';

/** Strength of the noise at strength 0 and 1: only the small, last steps of a schedule. */
const DENOISE = [0.2, 0.35] as const;
/** Highest weight that behaves, by strength of the noise: large steps turn it into distortion. */
const WEIGHT_LIMITS: readonly (readonly [denoise: number, weight: number])[] = [
  [0.2, 8],
  [0.35, 5],
  [1, 1.6],
];
/** Weight at strength 0, by strength of the noise. */
const WEIGHT_FLOORS: readonly (readonly [denoise: number, weight: number])[] = [
  [0.35, 3],
  [1, 1],
];
/** Families that take more, and by how much; they are known by nothing but the file's name. */
const TAKES_MORE = /pony|illustrious|noob/i;
const MORE = 1.25;
const MAX_WEIGHT = 8;
/** Sides of a picture that the networks can take are multiples of this. */
const SIDE_STEP = 8;

/** The numbers of one pass. */
export interface SparkleNumbers {
  denoisingStrength: number;
  weight: number;
  steps: number;
  /** null where the sampler decides. */
  stepsExecuted: number | null;
}

/**
 * Returns the numbers of a pass: those of the request, and for the rest what suits them.
 *
 * @param sampler     and scheduler, resolved
 * @param checkpoint  name of its file
 */
export function decideNumbers(
  request: Pick<
    SparkleRequest,
    'strength' | 'weight' | 'denoising_strength' | 'steps' | 'executed_steps'
  >,
  { sampler, scheduler }: { sampler: string; scheduler: string },
  checkpoint: string,
): SparkleNumbers {
  const strength = request.strength ?? 0.5;
  const [least, most] = DENOISE;
  const denoisingStrength =
    request.denoising_strength ?? round(least + (most - least) * strength, 2);
  const weight = request.weight ?? decideWeight(strength, denoisingStrength, checkpoint);
  const asked = { sampler, scheduler, denoisingStrength };
  // Below a strength of 0.08 no steps that a request may ask for execute 12.
  const steps = Math.min(
    request.steps ?? stepsThatExecute(request.executed_steps ?? 12, asked) ?? MAX_STEPS,
    MAX_STEPS,
  );
  const { stepsExecuted } = planSteps({ ...asked, steps });
  return { denoisingStrength, weight, steps, stepsExecuted };
}

function decideWeight(strength: number, denoise: number, checkpoint: string): number {
  const floor = interpolate(WEIGHT_FLOORS, denoise);
  const limit = interpolate(WEIGHT_LIMITS, denoise);
  const usual = floor + (limit - floor) * strength;
  return round(TAKES_MORE.test(checkpoint) ? Math.min(usual * MORE, MAX_WEIGHT) : usual, 1);
}

/** Linear between the points of a table, constant beyond its ends. */
function interpolate(table: readonly (readonly [number, number])[], at: number): number {
  const after = table.findIndex(([x]) => x >= at);
  if (after === -1) return table.at(-1)?.[1] ?? 0;
  const [x1, y1] = table[after] as readonly [number, number];
  const [x0, y0] = table[Math.max(0, after - 1)] as readonly [number, number];
  return x1 === x0 ? y1 : y0 + ((y1 - y0) * (at - x0)) / (x1 - x0);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Returns the sides that a picture is drawn at: its own, to the nearest 8, within the limits. */
export function decideSize(
  request: Pick<SparkleRequest, 'width' | 'height'>,
  own: { width: number; height: number },
): { width: number; height: number } {
  const longest = Math.max(own.width, own.height);
  const shortest = Math.min(own.width, own.height);
  // The shape is kept unless the short side would fall below the least one.
  const scale = Math.min(MAX_SIDE / longest, Math.max(1, MIN_SIDE / shortest));
  const toSide = (side: number) =>
    Math.min(MAX_SIDE, Math.max(MIN_SIDE, Math.round((side * scale) / SIDE_STEP) * SIDE_STEP));
  return {
    width: request.width ?? toSide(own.width),
    height: request.height ?? toSide(own.height),
  };
}
