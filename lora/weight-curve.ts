/** A LoRA's weight over the steps of a pass, in the notation of the extension sd-webui-loractl. */

/** Points of one weight, at rising places. */
export interface CurvePoints {
  /** Whether places are shares of the pass (0 the first step, 1 the last) or 1-based steps. */
  unit: 'share' | 'step';
  points: readonly { at: number; weight: number }[];
}

/** A weight: the same at every step, or points with straight lines between and level ends. */
export type WeightCurve = number | CurvePoints;

/** A step of a pass. */
export interface StepPlace {
  /** 0-based. */
  step: number;
  /** Steps of the pass. */
  steps: number;
}

/** Steps at which a LoRA acts: from `start` (0-based) to before `stop`; a share below 1 of the pass. */
export interface StepWindow {
  start: number | null;
  stop: number | null;
}

/** Points of a curve; a picture has at most 150 steps. */
export const MAX_CURVE_POINTS = 150;

/** Decimal numbers as Python reads them; no `inf`, no `nan`. */
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

/** Reads a finite number; null for anything else. */
export function readNumber(text: string): number | null {
  return NUMBER.test(text) && Number.isFinite(Number(text)) ? Number(text) : null;
}

/**
 * Reads `1.5` or `weight@place,weight@place…` (`;` for `,`, `~` for `@`). Places up to 1 are shares of the
 * pass; as soon as one is greater, all are steps. A weight without a place, but not the first, is at 1.
 *
 * @returns null when it is neither
 */
export function readCurve(text: string): WeightCurve | null {
  if (!/[@~]/.test(text)) return readNumber(text);
  const points = text.split(/[,;]/).map((pair, i) => {
    const numbers = pair.split(/[@~]/).map(readNumber);
    const [weight, at, ...others] = i > 0 && numbers.length === 1 ? [...numbers, 1] : numbers;
    if (weight == null || at == null || at < 0 || others.length > 0) return null;
    return { at, weight };
  });
  if (points.length > MAX_CURVE_POINTS || points.includes(null)) return null;
  const sorted = points.filter((point) => point !== null).sort((a, b) => a.at - b.at);
  const unit = (sorted.at(-1)?.at ?? 0) > 1 ? 'step' : 'share';
  return { unit, points: sorted };
}

/** Returns the weight at a step. */
export function weightAt(curve: WeightCurve, { step, steps }: StepPlace): number {
  if (typeof curve === 'number') return curve;
  const { unit, points } = curve;
  const place = unit === 'step' ? step + 1 : step / Math.max(1, steps - 1);
  const next = points.findIndex(({ at }) => at > place);
  const before = points[next < 0 ? points.length - 1 : next - 1];
  const after = points[next];
  if (!before) return after?.weight ?? 0;
  if (!after) return before.weight;
  const share = (place - before.at) / (after.at - before.at);
  return before.weight + share * (after.weight - before.weight);
}

/** Returns whether a LoRA acts at a step. */
export function isWithin({ start, stop }: StepWindow, { step, steps }: StepPlace): boolean {
  const place = (value: number) =>
    value > 0 && value < 1 ? Math.max(1, Math.round(value * steps)) : Math.trunc(value);
  return (start === null || step >= place(start)) && (stop === null || step < place(stop));
}
